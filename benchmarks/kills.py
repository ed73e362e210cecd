"""Is a run that was killed at any instant the same run once it is repeated?

`python benchmarks/kills.py [stages study queue] [--count N] [--seed N]` kills DVC and all that it
started (SIGKILL) at random instants of each stage, of a study and of a queue, three times in a row,
repeats the command, and compares what is written then with a run that nobody killed. Printed are
the instant of each kill and what was running; one after the command's end kills nothing and is not
counted. Exit status 0 when every repetition ended well with the same results.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.kill_clone import (  # noqa: E402
    begun,
    done,
    kept,
    kill_all,
    make_clone,
    processes_of,
    running,
    steady,
    unlike,
)
from stages.runs.pipeline import declared_stages  # noqa: E402

STAGES = ("fingerprint", "download", "subset", "train", "evaluate", "profile", "report")
COUNTS = {"stages": 14, "study": 5, "queue": 4}
IN_A_ROW = 3
TIMED = ("metrics/hardware.json", "metrics/machine.json", "plots/profile.csv")


@dataclass(frozen=True)
class Trial:
    """Instants in seconds, what each killed (nothing where it came too late), what differs then."""

    what: str
    instants: NDArray[np.float64]
    killed: list[str]
    unlike: str


def killed(folder: Path, command: Sequence[str], at: str, after: float) -> str:
    """Start a DVC command, and kill it some seconds after it said `at`; what ran then."""
    process = begun(folder, *command)
    assert process.stdout
    next((line for line in process.stdout if at in line), None)
    time.sleep(after)
    there = kill_all(folder)
    process.communicate()
    return there


def fresh(copy: Path, source: Path) -> None:
    """Put a copy of a folder where an earlier one may lie."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy, symlinks=True)


def try_stages(count: int, draws: np.random.Generator, folder: Path) -> Iterator[Trial]:
    """Kill each stage in turn, from a clone in which the ones before it are done."""
    whole, copy = folder / "whole", folder / "copy"
    make_clone(whole)
    outputs = {name: stage.outputs for name, stage in declared_stages(whole / "dvc.yaml").items()}
    seconds: dict[str, float] = {}
    for stage in STAGES:
        fresh(folder / f"before-{stage}", whole)
        process = begun(whole, "repro", "-s", stage)
        assert process.stdout
        next(line for line in process.stdout if f"Running stage '{stage}'" in line)
        started = time.monotonic()
        process.communicate()
        seconds[stage] = time.monotonic() - started
    for number in range(count):
        stage = STAGES[number % len(STAGES)]
        fresh(copy, folder / f"before-{stage}")
        command, at = ("repro", stage), f"Running stage '{stage}'"
        instants = draws.uniform(0, 0.8 * seconds[stage], IN_A_ROW)
        ran: list[str] = []
        for after in instants:
            if ran and not ran[-1]:  # too late: nothing is left to kill
                fresh(copy, folder / f"before-{stage}")
            ran.append(killed(copy, command, at, after))
        done(copy, *command)
        different = [
            difference
            for path in outputs[stage]
            if path.as_posix() not in TIMED
            for difference in unlike(path, kept(copy / path), kept(whole / path))
        ]
        yield Trial(stage, instants, ran, ", ".join(different))


def try_study(count: int, draws: np.random.Generator, folder: Path) -> Iterator[Trial]:
    """Kill a study within its cells."""
    start, whole, copy = folder / "start", folder / "whole", folder / "copy"
    make_clone(start)
    (start / "studies").mkdir()
    done(start, "--cd", "studies", "init", "-q", "--subdir")
    new = [sys.executable, "-m", "stages.study", "new", "mine", "--folder", "data/images",
           "--models", "lenet_small", "--sizes", "40,80", "--seeds", "1", "--epochs", "12",
           "--px", "16"]  # fmt: skip
    subprocess.run(new, cwd=start, check=True, capture_output=True)
    repro = ("--cd", "studies", "repro", "mine/dvc.yaml")
    fresh(whole, start)
    began = time.monotonic()
    done(whole, *repro)
    longest = time.monotonic() - began
    cells = sorted(path.name for path in (whole / "studies/mine/cells").iterdir())
    for _ in range(count):
        fresh(copy, start)
        instants = draws.uniform(0, 0.5 * longest, IN_A_ROW)
        ran = [killed(copy, repro, "Running stage 'mine/dvc.yaml:", after) for after in instants]
        done(copy, *repro)
        different = [name for name in cells if _cell(copy, name) != _cell(whole, name)]
        yield Trial("study", instants, ran, ", ".join(different))


def _cell(folder: Path, name: str) -> Any:
    place = folder / "studies/mine/cells" / name
    train = json.loads((place / "cell.json").read_text())["train"]
    return steady(train), (place / "predictions.csv").read_text()


def try_queue(count: int, draws: np.random.Generator, folder: Path) -> Iterator[Trial]:
    """Kill a queue with its worker in a stage of its task; then queue it again, and start."""
    start, whole, copy = folder / "start", folder / "whole", folder / "copy"
    make_clone(start)
    fresh(whole, start)
    _queue(whole)
    expected = _waited(whole)
    for number in range(count):
        fresh(copy, start)
        # In the pipeline's order, for what a killed task has finished is not run again.
        turns = range(IN_A_ROW * number, IN_A_ROW * (number + 1))
        stages = sorted((STAGES[turn % len(STAGES)] for turn in turns), key=STAGES.index)
        instants, ran = draws.exponential(1.0, IN_A_ROW), []
        for stage, after in zip(stages, instants, strict=True):
            _queue(copy)
            while running(processes_of(copy)) not in (stage, "") and not _experiments(copy):
                time.sleep(0.1)
            time.sleep(after)
            ended = _experiments(copy)  # its worker waits ten seconds for more
            there = kill_all(copy)
            ran.append("" if ended else there)
        _queue(copy)
        yield Trial("queue", instants, ran, "" if _waited(copy) == expected else "results")
        kill_all(copy)


def _queue(folder: Path) -> None:
    done(folder, "exp", "run", "--queue", "-S", "seed=5")
    # Without a pipe, which the worker would hold open, so that it were waited for.
    begun(folder, "queue", "start", said=subprocess.DEVNULL).wait()


def _experiments(folder: Path) -> list[str]:
    """The revisions of all that ended well; what waits in the queue has a reference too."""
    made = "refs/exps/??/*/*"
    listed = ["git", "-C", str(folder), "for-each-ref", made, "--format=%(objectname)"]
    return subprocess.check_output(listed, text=True).split()


def _waited(folder: Path) -> set[tuple[str, ...]]:
    """Hashes of weights and predictions of all experiments, once one is there."""
    while not (revisions := _experiments(folder)):
        if not processes_of(folder):
            raise RuntimeError(
                f"no experiment came of the queue: {done(folder, 'queue', 'status')}"
            )
        time.sleep(0.2)
    found = set()
    for revision in revisions:
        shown = [
            subprocess.check_output(["git", "-C", str(folder), "show", f"{revision}:{path}"])
            for path in ("metrics/train.json", "metrics/evaluate.json")
        ]
        details = [json.loads(text)["details"][0] for text in shown]
        predictions = details[1]["files_sha256"]["data/predictions.csv"]
        found.add((details[0]["weights_sha256"], predictions))
    return found


TRIES: dict[str, Callable[[int, np.random.Generator, Path], Iterator[Trial]]] = {
    "stages": try_stages,
    "study": try_study,
    "queue": try_queue,
}


def main() -> int:
    """Try the parts that were named; print every kill, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*COUNTS, []])
    parser.add_argument("--count", type=int, help="trials of each part, of three kills")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for part in arguments.parts or COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            draws = np.random.default_rng(arguments.seed)
            place = Path(folder).resolve()
            for trial in TRIES[part](arguments.count or COUNTS[part], draws, place):
                hits = sum(map(bool, trial.killed))
                kinds[trial.what]["kills"] += hits
                kinds[trial.what]["too late"] += len(trial.killed) - hits
                kinds[trial.what]["different" if trial.unlike else "same"] += bool(hits)
                when = ", ".join(
                    f"{after:.1f} ({ran or 'too late'})"
                    for after, ran in zip(trial.instants, trial.killed, strict=True)
                )
                print(f"{trial.what} after {when} s: {trial.unlike or 'same'}", flush=True)
    for what, counts in kinds.items():
        print(f"{what}: {dict(counts)}")
    return 1 if any(counts["different"] for counts in kinds.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
