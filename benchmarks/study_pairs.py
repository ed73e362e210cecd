"""What `compare` says of the cells of this repository that two real machines have.

`python benchmarks/study_pairs.py` holds every cell of every study against the same cell of each
other machine and prints how many pairs got which verdict, then those called different with the
whole sentence. Needs no pictures and trains nothing. Stand-ins for machines, where what is right is
known, are left to `across_machines.py`.
"""

import argparse
import sys
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages.comparison.analysis.compare_runs import compare_runs  # noqa: E402
from stages.comparison.analysis.setup import same_code  # noqa: E402
from stages.comparison.page.wording import sentence_of  # noqa: E402
from stages.core.paths import STUDIES  # noqa: E402
from stages.runs.run import load_run  # noqa: E402
from stages.runs.sources import open_source  # noqa: E402


def cells_by_name(form: Path) -> dict[str, list[Path]]:
    """Folders of cells by their name, those of further machines behind those of the study's own."""
    found = defaultdict(list)
    for home in [form / "cells", *sorted(form.glob("machines/*"))]:
        for file in sorted(home.rglob("cell.json")):
            found[file.parent.relative_to(home).as_posix()].append(file.parent)
    return found


def main() -> None:
    """Compare and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    verdicts, different = Counter[str](), list[str]()
    for form in sorted(file.parent for file in STUDIES.rglob("study.yaml")):
        for full in (form, form / "small"):
            for places in cells_by_name(full).values():
                for pair in combinations(places, 2):
                    a, b = (load_run(open_source(str(place))) for place in pair)
                    verdict = compare_runs(a, b).verdict
                    code = "same code" if same_code(a, b) else "other code"
                    verdicts[f"{verdict.rung.words}, {code}"] += 1
                    if verdict.exit_status == 1:
                        different.append(f"{pair[0]}\n  {pair[1]}\n  {sentence_of(verdict)}")
    print(f"{verdicts.total()} pairs")
    print("\n".join(f"{count:5} {words}" for words, count in verdicts.most_common()))
    print("\n".join(different))


if __name__ == "__main__":
    main()
