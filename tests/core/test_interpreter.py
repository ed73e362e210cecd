"""A stage that the wrong Python starts goes on in the repository's own, or says what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = ["-m", "stages.models", "--match", "lenet_small"]


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """The code alone, without an environment."""
    shutil.copytree(
        root / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path


@pytest.fixture
def bare_python() -> str:
    """The Python that this environment was made from, where it has no packages of its own."""
    python = shutil.which("python3", path=str(Path(sys.base_prefix) / "bin"))
    if python is None or sys.prefix == sys.base_prefix:
        pytest.skip("the tests do not run in a virtual environment")
    if subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
        pytest.skip(f"{python} has the packages")
    return python


def run(python: str, folder: Path, *arguments: str, **environment: str):
    return subprocess.run(
        [python, *arguments], cwd=folder, env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_goes_on_in_the_environment_of_the_checkout(checkout, bare_python):
    (checkout / ".venv").symlink_to(sys.prefix)
    done = run(bare_python, checkout, *COMMAND)
    assert done.stdout.splitlines()[0] == "lenet_small", done.stderr


def test_a_temporary_clone_uses_that_of_the_repository(checkout, bare_python, tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    (repository / ".venv").symlink_to(sys.prefix)
    done = run(bare_python, checkout, *COMMAND, DVC_ROOT=str(repository))
    assert done.stdout.splitlines()[0] == "lenet_small", done.stderr


def test_without_an_environment_it_says_what_to_do(checkout, bare_python):
    done = run(bare_python, checkout, *COMMAND)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {bare_python} lacks torch")
    assert "`source .venv/bin/activate`" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["train", "profile"])
def test_a_file_started_by_its_path_says_how_to_start_it(checkout, name, tmp_path_factory):
    done = run(sys.executable, tmp_path_factory.mktemp("away"), f"{checkout}/stages/{name}.py")
    assert done.returncode == 1
    assert f"cd {checkout} && python -m stages.{name}" in done.stderr
    assert "Traceback" not in done.stderr
