"""Running DVC in a clone, as a user would; what ran, and what it measured."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stages.core.metrics import read_metrics

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
QUICK = {
    "model": "lenet_small",
    "train": {"epochs": 2},
    "profile": {"seconds": 0.05, "batch_sizes": [1], "variants": []},
}
Dvc = Callable[..., "subprocess.CompletedProcess[str]"]


def copy_tracked(folder: Path, without: tuple[str, ...] = ()) -> None:
    """Copy the working tree as git would clone it, but for paths with these beginnings."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in tracked.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(without):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())


def commit_all(folder: Path) -> None:
    """Make the folder a git repository with all of it in one commit, ready for more."""
    for arguments in (
        ["init", "-q"],
        ["config", "user.name", "test"],
        ["config", "user.email", "test@localhost"],
        ["add", "-A"],
        ["commit", "-qm", "start"],
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def stages_run(done: "subprocess.CompletedProcess[str] | str") -> list[str]:
    """The stages whose command was run, in order, by what DVC said."""
    lines = (done if isinstance(done, str) else done.stdout).splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def metrics(clone: Path, name: str) -> dict[str, Any]:
    return read_metrics(clone / "metrics" / f"{name}.json")
