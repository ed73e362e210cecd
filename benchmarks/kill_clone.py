"""A clone in which DVC is started and killed, and what of its results is the same in every run.

For `kills.py`. A process counts as the clone's by a variable of its environment, which whatever DVC
starts inherits, workers of its queue too.
"""

import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import yaml

from benchmarks.fuzz_run import VARYING
from benchmarks.small_run import make_pictures
from stages.core.metrics import read_metrics
from tests.pipeline.running import commit_all, copy_tracked

PARAMS: dict[str, Any] = {
    "model": "lenet_small",
    "device": "cpu",
    "dataset": {"name": "image_folder", "folder": "data/images"},
    "train": {"epochs": 12, "batch_size": 16, "checkpoint_steps": 2},
    "profile": {"seconds": 0.05, "batch_sizes": [1], "variants": []},
}
MARK = "KILLED_CLONE"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


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


def begun(folder: Path, *words: str, said: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    """A DVC command under way in a clone, with a pipe of what it says."""
    mine = {"PATH": PATH, "PYTHONUNBUFFERED": "1", MARK: str(folder)}
    return subprocess.Popen(
        ["dvc", *words], cwd=folder, text=True, start_new_session=True, stdout=said,
        stderr=subprocess.STDOUT, env=os.environ | mine,
    )  # fmt: skip


def done(folder: Path, *words: str) -> str:
    """What a DVC command says. Raises RuntimeError when it fails."""
    process = begun(folder, *words)
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"dvc {' '.join(words)}: {said[-1500:]}")
    return said


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that a command in the clone has started, and that still runs."""
    return [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get(MARK) == str(folder)
    ]


def running(processes: Sequence[psutil.Process]) -> str:
    """The stage that they run, or `dvc`, or nothing where there are none."""
    commands = " ".join(word for process in processes for word in _command(process))
    stage = re.search(r"\bstages\.(\w+)", commands)
    return stage[1] if stage else "dvc" if processes else ""


def kill_all(folder: Path) -> str:
    """Kill all that run for the clone; what that was."""
    found = processes_of(folder)
    ran = running(found)
    for process in found:
        process.kill()
    psutil.wait_procs(found)
    return ran


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it has just ended
        return []


def kept(path: Path) -> Any:
    """What of an output is the same in every run."""
    if path.is_dir():
        return {inner.name: kept(inner) for inner in sorted(path.iterdir())}
    if path.suffix == ".json" and path.parent.name == "metrics":
        return steady(read_metrics(path))
    if path.suffix == ".csv":
        table = pd.read_csv(io.StringIO(path.read_text()), dtype=str)
        return table[[*steady(dict.fromkeys(table))]].to_csv()
    return hashlib.sha256(path.read_bytes()).hexdigest()


def steady(values: dict[str, Any]) -> dict[str, Any]:
    """The values whose name does not say that they vary by nature, such as times."""
    return {k: v for k, v in values.items() if not any(word in k for word in VARYING)}


def unlike(path: Path, found: Any, expected: Any) -> list[str]:
    """The file, with the keys that differ where it has some; nothing for what is the same."""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted(found.keys() | expected.keys())
        return [f"{path}: {key}" for key in keys if found.get(key) != expected.get(key)]
    return [] if found == expected else [path.as_posix()]
