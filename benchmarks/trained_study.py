"""How long until a user knows which trained backbone suits some thousand pictures?

`python benchmarks/trained_study.py PICTURES.zip [--train 5000] [--test 10000]` copies so many
pictures, evenly over the classes and the first by name, into a zip; in a clone of the working tree,
without any cache, it gives the two commands of the README, `study new --trained` for a third, a
half and all of them with three seeds, and `dvc repro`; and prints the seconds of each and what the
page advises. Beside nothing else: wall seconds are what is asked.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.pipeline.running import commit_all, copy_tracked  # noqa: E402

NAME = "pets"


def part_of(pictures: Path, target: Path, counts: dict[str, int]) -> None:
    """A zip of the first pictures of each class, so many of each split."""
    with zipfile.ZipFile(pictures) as source, zipfile.ZipFile(target, "w") as made:
        classes: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for name in sorted(source.namelist()):
            if name.count("/") == 2 and not name.endswith("/"):
                split, label, _ = name.split("/")
                classes[split][label].append(name)
        for split, count in counts.items():
            for names in classes[split].values():
                for name in names[: count // len(classes[split])]:
                    made.writestr(name, source.read(name))


def timed(folder: Path, *words: str) -> float:
    """Seconds of a command in the clone. Raises CalledProcessError when it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, env=os.environ | {"PATH": path}, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Make the clone, give the commands, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, metavar="PICTURES.zip")
    parser.add_argument("--train", type=int, default=5000, metavar="N")
    parser.add_argument("--test", type=int, default=10_000, metavar="N")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        clone, zipped = Path(temporary) / "clone", Path(temporary) / "pictures.zip"
        part_of(chosen.pictures, zipped, {"train": chosen.train, "test": chosen.test})
        copy_tracked(clone)
        commit_all(clone)
        sizes = f"{chosen.train // 3},{chosen.train // 2},full"
        made = timed(
            clone, sys.executable, "-m", "stages.study", "new", NAME, "--folder", str(zipped),
            "--trained", "--sizes", sizes, "--seeds", "3",
        )  # fmt: skip
        run = timed(clone, "dvc", "--cd", "studies", "repro", "-k", f"{NAME}/dvc.yaml")
        page = (clone / "studies" / NAME / "report.md").read_text()
    print(page.split("## The source's claims")[0].split("## Results")[0])
    print(f"new: {made:.1f} s; repro: {run:.1f} s, {run / 60:.1f} min")


if __name__ == "__main__":
    main()
