"""A clone of the working tree with a quick recipe, one per test file, and DVC run in it."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.running import BIN, QUICK, Dvc, commit_all, copy_tracked


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the working tree with a quick recipe, committed, and nothing run in it."""
    folder = tmp_path_factory.mktemp("clone")
    copy_tracked(folder, without=("metrics/", "plots/", "studies/", "dvc.lock"))
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for key, value in QUICK.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    commit_all(folder)
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
