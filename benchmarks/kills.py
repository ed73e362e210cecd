"""Is a run that was killed at any instant the same run once it is repeated?

`python benchmarks/kills.py [stages study queue] [--count N] [--seed N]` kills DVC and all that it
started (SIGKILL) at random instants of each stage, of a study and of a queue, up to three times in
a row, repeats the command, and compares what is written then with a run that nobody killed. An
instant after the command's end kills nothing and is counted as missed. Exit status 0 when every
repetition ended well with the same results.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.fuzz_run import VARYING  # noqa: E402
from benchmarks.small_run import make_pictures  # noqa: E402
from stages.core.metrics import read_metrics  # noqa: E402
from stages.runs.pipeline import declared_stages  # noqa: E402
from tests.pipeline.running import commit_all, copy_tracked  # noqa: E402

STAGES = ("fingerprint", "download", "subset", "train", "evaluate", "profile", "report")
COUNTS = {"stages": 14, "study": 5, "queue": 3}
IN_A_ROW = 3
PARAMS: dict[str, Any] = {
    "model": "lenet_small",
    "device": "cpu",
    "dataset": {"name": "image_folder", "folder": "data/images"},
    "train": {"epochs": 12, "batch_size": 16, "checkpoint_steps": 2},
    "profile": {"seconds": 0.05, "batch_sizes": [1], "variants": []},
}
TIMED = ("metrics/hardware.json", "metrics/machine.json", "plots/profile.csv")
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@dataclass(frozen=True)
class Trial:
    """Seconds after which something was killed, how many processes each time, what differs then."""

    what: str
    instants: NDArray[np.float64]
    kills: list[int]
    unlike: str


def begun(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """A DVC command under way in a folder, in a process group of its own."""
    return subprocess.Popen(
        ["dvc", *words], cwd=folder, text=True, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=os.environ | {"PATH": PATH, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def done(folder: Path, *words: str) -> str:
    """What a DVC command says. Raises RuntimeError when it fails."""
    process = begun(folder, *words)
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"dvc {' '.join(words)}: {said[-1500:]}")
    return said


def kill_all_in(folder: Path) -> int:
    """Kill every process that works in the folder, workers of a queue too; how many."""
    found = [process for process in psutil.process_iter(["cwd"]) if _is_in(process, folder)]
    for process in found:
        process.kill()
    psutil.wait_procs(found)
    return len(found)


def _is_in(process: psutil.Process, folder: Path) -> bool:
    place = process.info["cwd"]
    return place is not None and Path(place).is_relative_to(folder)


def make_clone(folder: Path) -> None:
    """The working tree with a quick recipe on a few pictures, in one commit."""
    copy_tracked(folder, without=("metrics/", "plots/", "studies/", "dvc.lock", "report/"))
    values = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in PARAMS.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    make_pictures(folder / "data/images", train=40, test=20)
    (folder / ".gitignore").open("a").write("!data/images/**\n")
    commit_all(folder)


def kept(path: Path) -> Any:
    """What of an output is the same in every run."""
    if path.is_dir():
        return {inner.name: kept(inner) for inner in sorted(path.iterdir())}
    if path.suffix == ".json" and path.parent.name == "metrics":
        values = read_metrics(path)
        return {k: v for k, v in values.items() if not any(word in k for word in VARYING)}
    if path.suffix == ".csv":
        table = pd.read_csv(io.StringIO(path.read_text()), dtype=str)
        return table[[c for c in table if not any(word in c for word in VARYING)]].to_csv()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _unlike(path: Path, found: Any, expected: Any) -> list[str]:
    """The file, with the keys that differ where it has some; nothing for what is the same."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted(found.keys() | expected.keys())
        return [f"{path}: {key}" for key in keys if found.get(key) != expected.get(key)]
    return [] if found == expected else [path.as_posix()]


def killed(folder: Path, command: Sequence[str], at: str, after: float) -> int:
    """Start a DVC command, and kill it some seconds after it said `at`; how many processes."""
    process = begun(folder, *command)
    assert process.stdout
    next((line for line in process.stdout if at in line), None)
    time.sleep(after)
    there = kill_all_in(folder)
    process.communicate()
    return there


def try_stages(count: int, draws: np.random.Generator, folder: Path) -> Iterator[Trial]:
    """Kill each stage in turn, from a clone in which the ones before it are done."""
    whole = folder / "whole"
    make_clone(whole)
    outputs = {name: stage.outputs for name, stage in declared_stages(whole / "dvc.yaml").items()}
    seconds: dict[str, float] = {}
    for stage in STAGES:
        shutil.copytree(whole, folder / f"before-{stage}", symlinks=True)
        process = begun(whole, "repro", "-s", stage)
        assert process.stdout
        next(line for line in process.stdout if f"Running stage '{stage}'" in line)
        started = time.monotonic()
        process.communicate()
        seconds[stage] = time.monotonic() - started
    for number in range(count):
        stage = STAGES[number % len(STAGES)]
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder / f"before-{stage}", copy, symlinks=True)
        command, at = ("repro", stage), f"Running stage '{stage}'"
        instants = draws.uniform(0, 0.8 * seconds[stage], IN_A_ROW)
        kills = [killed(copy, command, at, after) for after in instants]
        done(copy, *command)
        unlike = [
            difference
            for path in outputs[stage]
            if path.as_posix() not in TIMED
            for difference in _unlike(path, kept(copy / path), kept(whole / path))
        ]
        yield Trial(stage, instants, kills, ", ".join(unlike))


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
    shutil.copytree(start, whole, symlinks=True)
    began = time.monotonic()
    done(whole, *repro)
    longest = time.monotonic() - began
    cells = sorted(path.name for path in (whole / "studies/mine/cells").iterdir())
    for _ in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(start, copy, symlinks=True)
        instants = draws.uniform(0, 0.5 * longest, IN_A_ROW)
        kills = [killed(copy, repro, "Running stage 'mine/dvc.yaml:", after) for after in instants]
        done(copy, *repro)
        unlike = [name for name in cells if _cell(copy, name) != _cell(whole, name)]
        yield Trial("study", instants, kills, ", ".join(unlike))


def _cell(folder: Path, name: str) -> Any:
    place = folder / "studies/mine/cells" / name
    train = json.loads((place / "cell.json").read_text())["train"]
    same = {k: v for k, v in train.items() if not any(word in k for word in VARYING)}
    return same, (place / "predictions.csv").read_text()


def try_queue(count: int, draws: np.random.Generator, folder: Path) -> Iterator[Trial]:
    """Kill a queue with its worker; then queue the same experiment again, and start."""
    start, whole, copy = folder / "start", folder / "whole", folder / "copy"
    make_clone(start)
    shutil.copytree(start, whole, symlinks=True)
    began = time.monotonic()
    _queue(whole)
    expected = _waited(whole)
    longest = time.monotonic() - began
    for _ in range(count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(start, copy, symlinks=True)
        instants, kills = draws.uniform(0.1 * longest, 0.5 * longest, IN_A_ROW), []
        for after in instants:
            _queue(copy)
            time.sleep(after)
            kills.append(kill_all_in(copy))
        _queue(copy)
        yield Trial("queue", instants, kills, "" if _waited(copy) == expected else "results")


def _queue(folder: Path) -> None:
    done(folder, "exp", "run", "--queue", "-S", "seed=5")
    done(folder, "queue", "start")


def _waited(folder: Path) -> set[tuple[str, ...]]:
    """Hashes of weights and predictions of all experiments, once one is there."""
    git = ["git", "-C", str(folder)]
    while True:
        named = [*git, "for-each-ref", "refs/exps", "--format=%(objectname)"]
        listed = subprocess.check_output(named, text=True).split()
        if listed and not any(_is_in(p, folder) for p in psutil.process_iter(["cwd"])):
            break
        time.sleep(0.5)
    found = set()
    for revision in listed:
        shown = [subprocess.check_output([*git, "show", f"{revision}:metrics/{name}.json"])
                 for name in ("train", "evaluate")]  # fmt: skip
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
    parser.add_argument("--count", type=int, help="kills of each part")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    kinds: Counter[str] = Counter()
    for part in arguments.parts or COUNTS:
        with tempfile.TemporaryDirectory() as folder:
            draws = np.random.default_rng(arguments.seed)
            place = Path(folder).resolve()
            for trial in TRIES[part](arguments.count or COUNTS[part], draws, place):
                hit = [there > 0 for there in trial.kills]
                kinds["kills"] += sum(hit)
                kinds["missed"] += len(hit) - sum(hit)
                kinds["different" if trial.unlike else "same"] += any(hit)
                when = ", ".join(
                    f"{after:.1f}{'' if one else ' (missed)'}"
                    for after, one in zip(trial.instants, hit, strict=True)
                )
                print(f"{trial.what} after {when} s: {trial.unlike or 'same'}", flush=True)
    print(dict(kinds))
    return 1 if kinds["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
