"""Clones of the working tree with a quick recipe, one per test file, and DVC run in them."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from stages.core.params import Params
from tests.pipeline.running import BIN, QUICK, Dvc, commit_all, copy_tracked

LIST_IMPORTS = """
import atexit, pathlib, sys

def tell():
    name = getattr(sys.modules["__main__"].__spec__, "name", "")
    if name.startswith("stages."):
        pathlib.Path(__file__).with_name(name).write_text("\\n".join(sys.modules))

atexit.register(tell)
"""


def make_clone(folder: Path) -> None:
    """Copy the working tree with a quick recipe, and commit it; nothing is run in it."""
    copy_tracked(folder, without=("metrics/", "plots/", "studies/", "dvc.lock"))
    params = Params().model_dump(mode="json")  # whatever was tried in this working tree
    for key, value in QUICK.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    commit_all(folder)


def dvc_in(clone: Path) -> Dvc:
    """Run a DVC command in the clone; fails the test when the exit status is not `status`."""

    def run(*arguments: str, status: int = 0, **environment: str) -> Any:
        done = subprocess.run(
            [str(BIN / "dvc"), *arguments], cwd=clone, capture_output=True, text=True, check=False,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment},
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which nothing has run. Files that need results begin from `finished` instead."""
    folder = tmp_path_factory.mktemp("clone")
    make_clone(folder)
    return folder


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `clone`, in which the pipeline has run and is committed, and what DVC said.

    Each stage left the names of the modules that it imported as a file in `imported`. Made once,
    also for test processes beside each other; nothing may be changed in it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "first-run"
    with FileLock(f"{folder}.lock"):
        if not (folder / "said.txt").exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_clone(folder / "clone")
            (folder / "imported").mkdir()
            (folder / "imported/sitecustomize.py").write_text(LIST_IMPORTS)
            listing = {"PYTHONPATH": str(folder / "imported")}
            said = dvc_in(folder / "clone")("repro", **listing).stdout
            for words in (["add", "-A"], ["commit", "-qm", "results"]):
                subprocess.run(["git", *words], cwd=folder / "clone", check=True)
            (folder / "said.txt").write_text(said)
    return folder


@pytest.fixture(scope="module")
def finished(first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of its own for a test file: results, cache and all."""
    folder = tmp_path_factory.mktemp("finished") / "clone"
    shutil.copytree(first_run / "clone", folder, symlinks=True)
    return folder


@pytest.fixture(scope="module")
def dvc(clone: Path) -> Dvc:
    """Run a DVC command in the clone."""
    return dvc_in(clone)
