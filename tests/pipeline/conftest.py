"""A clone of the working tree with a quick recipe, one per test file, and DVC run in it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.running import BIN, QUICK, ROOT, Dvc


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the working tree with a quick recipe, committed, and nothing run in it."""
    folder = tmp_path_factory.mktemp("clone")
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    for name in tracked:
        source = ROOT / name
        results = name.startswith(("metrics/", "plots/", "studies/")) or name == "dvc.lock"
        if name and source.is_file() and not results:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(source.read_bytes())
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in QUICK.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    for key, value in (("user.name", "test"), ("user.email", "test@localhost")):
        subprocess.run(["git", "config", key, value], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def dvc(clone: Path) -> Dvc:
    """Run a DVC command in the clone; fails the test when the exit status is not `status`."""

    def run(*arguments: str, status: int = 0, **environment: str) -> Any:
        done = subprocess.run(
            [str(BIN / "dvc"), *arguments], cwd=clone, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run
