"""Does `compare` call every fault different, name its place, and never cry wolf?

`python benchmarks/planted_faults.py [--only WORD] [--precision bf16] [--keep FOLDER] [--jobs 2]`
trains one small network as it is, as its one-ULP twin, on ten stand-in machines, and with each of
twenty planted faults, then compares all with the first. Exit status 0 when every fault is called
different at its place and no machine is. About five minutes on two idle cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.faults import FAULTS  # noqa: E402
from benchmarks.machines import MACHINES  # noqa: E402
from benchmarks.small_run import make_pictures  # noqa: E402
from stages.comparison.analysis.compare_runs import Comparison, compare_runs  # noqa: E402
from stages.comparison.page.terms import where_in_words  # noqa: E402
from stages.runs.run import read_run  # noqa: E402
from stages.runs.sources import open_source  # noqa: E402


@dataclass(frozen=True)
class Trial:
    """One run: its folder's name, how to start it, and what must be found (None: no difference)."""

    name: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    found: str | None = None


def trials(only: str = "", precision: str = "fp32") -> list[Trial]:
    """All runs but the first, the twin before the others."""
    made = [Trial("twin", ("train.perturb_one_ulp=true",))]
    for name, machine in MACHINES.items():
        statement = ("--statement", machine.statement) if machine.statement else ()
        arguments = (*statement, *machine.changes)
        made.append(Trial(name, arguments, tuple(machine.environment.items())))
    made += [
        Trial(name, ("--fault", name), found=fault.found)
        for name, fault in FAULTS.items()
        if fault.at in ("", precision)
    ]
    return [trial for trial in made if only in trial.name]


def start(folder: Path, trial: Trial, precision: str) -> None:
    """Train one run in a process of its own. Raises CalledProcessError with its output."""
    command = [sys.executable, "-m", "benchmarks.small_run", str(folder / trial.name)]
    subprocess.run(
        [*command, f"train.precision={precision}", *trial.arguments],
        env={**os.environ, **dict(trial.environment), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )


def judge(trial: Trial, found: Comparison) -> bool:
    """Whether the verdict is the expected one; so few test images may leave machines undecided."""
    if trial.found is None:
        return found.verdict.rung.exit_status != 1
    return found.verdict.rung.exit_status == 1 and trial.found in place_of(found)


def place_of(found: Comparison) -> str:
    """Where the fault is, in words; empty without one."""
    where = found.verdict.where
    return where_in_words(where) if where else ""


def run_trials(
    folder: Path, chosen: Sequence[Trial], jobs: int, precision: str = "fp32"
) -> list[tuple[Trial, Comparison]]:
    """Train the first run and all chosen ones in `folder`, and compare."""
    make_pictures(folder / "pictures")
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda trial: start(folder, trial, precision), (Trial("as it is"), *chosen)))
    first = read_run(open_source(str(folder / "as it is")))
    return [
        (trial, compare_runs(first, read_run(open_source(str(folder / trial.name)))))
        for trial in chosen
    ]


def main() -> int:
    """Run all, print a line each; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="runs whose name holds this word")
    parser.add_argument("--keep", type=Path, help="a folder to keep the runs in")
    parser.add_argument("--precision", default="fp32", help="of all runs: fp32 or bf16")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    keep = arguments.keep
    with nullcontext(keep) if keep else tempfile.TemporaryDirectory() as folder:
        chosen = trials(arguments.only, arguments.precision)
        results = run_trials(Path(folder), chosen, arguments.jobs, arguments.precision)
    wrong = 0
    for trial, found in results:
        right = judge(trial, found)
        wrong += not right
        place = place_of(found)
        print(f"{'right' if right else 'WRONG'}  {trial.name}: {found.verdict.rung.words} {place}")
    print(f"{len(results) - wrong} of {len(results)} as expected")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
