"""Runs by the names that DVC and git give them: experiments, branches with a slash, a remote's."""

import subprocess
from pathlib import Path

import pytest

from stages.compare import main
from tests.pipeline.running import Dvc


@pytest.fixture(scope="module")
def clone(finished: Path) -> Path:
    return finished


@pytest.fixture(scope="module")
def experiment(clone: Path, dvc: Dvc) -> Path:
    """A clone with the experiment `mac`, the branch `machine/mac`, and that branch of a remote."""
    dvc("exp", "run", "-n", "mac", "-S", "train.epochs=1", "evaluate")
    dvc("exp", "branch", "mac", "machine/mac")
    command = ["git", "update-ref", "refs/remotes/origin/machine/cuda", "machine/mac"]
    subprocess.run(command, cwd=clone, check=True)
    return clone


@pytest.mark.parametrize(
    "names",
    [
        ("mac", "workspace"),
        ("machine/mac", "mac"),
        ("origin/machine/cuda", "machine/mac"),
        ("mac:.", "mac"),
    ],
)
def test_one_run_by_many_names(
    experiment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, str],
) -> None:
    monkeypatch.chdir(experiment)
    assert main(list(names)) == 0
    format_value = capsys.readouterr().out
    assert "Bit-identical: the same weights and predictions on 359 images." in format_value
    assert "The same bits in " in format_value
    assert "lacks" not in format_value


@pytest.mark.parametrize("name", ["mca", "machine/cuda", "origin/machine/mac"])
def test_a_name_that_nothing_has(
    experiment: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.chdir(experiment)
    assert main(["mac", name]) == 2
    format_value = capsys.readouterr()
    assert f"There is no run called '{name}'" in " ".join(format_value.err.split())
    assert "Traceback" not in format_value.err


def test_a_revision_before_anything_ran_is_no_run_but_its_parameters(
    experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(experiment)
    assert main(["HEAD~1", "mac"]) == 2
    assert "train.epochs (2 against 1)" in capsys.readouterr().out
