"""What a failed stage tells about undoing: only what is true, and only under DVC."""

import subprocess
from pathlib import Path

import pytest

from stages.core.way_back import way_back

LOCK = """\
stages:
  train:
    params:
      params.yaml:
        train: {lr: 0.001}
    outs:
    - path: metrics/train.json
    - path: data/weights.safetensors
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed run, its train stage started by DVC, which has removed the outputs."""
    (tmp_path / "params.yaml").write_text("model: lenet_small\ntrain: {lr: 0.001}\n")
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/train.json").write_text("{}")
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "run"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    (tmp_path / "metrics/train.json").unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def test_committed_results_come_back_from_git(repository: Path) -> None:
    told = way_back()
    assert "params.yaml" not in told
    assert "`git restore dvc.lock metrics && dvc checkout --allow-missing`" in told


def test_a_value_left_in_the_parameters_is_named(repository: Path) -> None:
    (repository / "params.yaml").write_text("model: lenet_smal\ntrain: {lr: 0.001, ema: null}\n")
    first, second = way_back().strip().split("\n")
    assert first.startswith('params.yaml now has `model: "lenet_smal"`, not as committed')
    assert "`git restore params.yaml`" in first
    assert "`git restore params.yaml dvc.lock metrics && dvc checkout" in second


def test_results_that_were_not_committed_come_from_the_run_cache(repository: Path) -> None:
    (repository / "dvc.lock").write_text(LOCK.replace("0.001", "0.01"))
    assert "`dvc repro` with the earlier values (`train.lr: 0.01`) brings" in way_back()


def test_nothing_is_told_where_nothing_was_removed(repository: Path) -> None:
    (repository / "data").mkdir()
    for path in ("metrics/train.json", "data/weights.safetensors"):
        (repository / path).write_text("{}")
    assert way_back() == ""


def test_parameters_that_are_no_yaml(repository: Path) -> None:
    (repository / "params.yaml").write_text("model: {")
    assert "params.yaml now has text that is not YAML, not as committed" in way_back()


@pytest.mark.parametrize(
    "elsewhere", [{"DVC_STAGE": None}, {"DVC_ROOT": "/nowhere"}, {"RANK": "1"}]
)
def test_nothing_is_told_outside_the_workspace(
    repository: Path, elsewhere: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without DVC, in a temporary clone, and in the helpers of a distributed training."""
    for name, value in elsewhere.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    assert way_back() == ""


def test_outside_git(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bare = tmp_path_factory.mktemp("bare")
    monkeypatch.chdir(bare)
    monkeypatch.setenv("DVC_ROOT", str(bare))
    assert way_back() == ""


def test_a_study_has_parameters_and_results_of_its_own(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its cells are all in git; those beside the one that fails are left alone."""
    study, git = repository / "studies/pets", ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    (study / "cells/a").mkdir(parents=True)
    (repository / ".dvc").mkdir()
    (study / "params.yaml").write_text("base: {seed: 0}\n")
    (study / "dvc.lock").write_text("stages:\n  grid@a: {outs: [{path: cells/a/cell.json}]}\n")
    (study / "cells/a/cell.json").write_text("{}")
    for arguments in (["add", "-A"], ["commit", "-qm", "study"]):
        subprocess.run([*git, *arguments], cwd=repository, check=True)
    (study / "cells/a/cell.json").unlink()
    (study / "params.yaml").write_text("base: {seed: 1}\n")
    monkeypatch.setenv("DVC_STAGE", "pets/dvc.yaml:grid@a")
    monkeypatch.setenv("DVC_ROOT", str(repository / "studies"))
    first, second = way_back().strip().split("\n")
    assert first.startswith("studies/pets/params.yaml now has `base.seed: 1`")
    restored = "studies/pets/params.yaml studies/pets/dvc.lock studies/pets/cells/a"
    assert f"`git restore {restored}`." in second
