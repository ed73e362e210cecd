"""Reading runs: folders, git revisions, experiments; missing pieces and older formats."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.core import paths
from stages.core.errors import RunError
from stages.runs.run import load_run, read_run
from stages.runs.sources import open_source
from tests.comparison.made import made, trace, write_run


def test_a_whole_run_lacks_only_what_was_not_written(tmp_path: Path) -> None:
    record = made(tmp_path / "a")
    assert set(record.missing) == {
        "metrics/subset.json", "rows of `inside` in metrics/steps.json",
        "metrics/train.json (tells no parameters: params.yaml's are taken)",
    }  # fmt: skip
    assert record.predictions is not None
    assert record.predictions["name"].iloc[0] == "00000"
    assert record.indices_sha256 == "i" * 64
    assert not record.is_perturbed


def test_an_empty_folder_is_a_run_that_lacks_everything(tmp_path: Path) -> None:
    record = read_run(open_source(str(tmp_path)))
    assert record.train == {}
    assert record.trace is None
    assert len(record.missing) == 11


def test_an_older_format_is_named_and_passed_over(tmp_path: Path) -> None:
    older = trace().drop(columns=["grad_hash", "weights_hash"])
    record = made(tmp_path / "a", trace=older)
    assert record.trace is None
    assert "plots/trace.csv (an older format: without grad_hash, weights_hash)" in record.missing


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    record = made(tmp_path / "a", train="{ no json", predictions="")
    assert record.train == {}
    assert any(entry.startswith("metrics/train.json (unreadable") for entry in record.missing)
    assert any(entry.startswith("plots/predictions.csv (unreadable") for entry in record.missing)


def test_the_list_of_images_is_hashed_when_training_did_not(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", train={"indices_sha256": None})
    (folder / paths.TRAIN_METRICS).write_text("{}")
    (folder / paths.INDICES).parent.mkdir()
    (folder / paths.INDICES).write_text("split,name\n")
    record = read_run(open_source(str(folder)))
    assert record.indices_sha256 is not None
    assert len(record.indices_sha256) == 64


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository with a run on `main`, whose predictions only the cache holds."""
    root = tmp_path_factory.mktemp("repository")

    def call(*command: str) -> None:
        subprocess.run(command, cwd=root, check=True, capture_output=True)

    write_run(root)
    call("git", "init", "-q", "-b", "main")
    call("git", "config", "user.email", "nobody@example.org")
    call("git", "config", "user.name", "Nobody")
    dvc = [sys.executable, "-m", "dvc"]
    call(*dvc, "init", "-q")
    call(*dvc, "config", "core.analytics", "false")
    (root / paths.SNAPSHOTS).mkdir(parents=True)
    (root / paths.SNAPSHOTS / "snapshot-00000000.pt").write_text("a state")
    call(*dvc, "add", "-q", str(paths.PREDICTIONS), str(paths.SNAPSHOTS))
    call("git", "add", "-A")
    call("git", "commit", "-q", "-m", "first")
    call("git", "update-ref", "refs/exps/ab/cdef/mac-run", "HEAD")
    (root / paths.PREDICTIONS).unlink()
    shutil.rmtree(root / paths.SNAPSHOTS)
    (root / paths.TRAIN_METRICS).write_text("{}")
    return root


def test_a_revision_is_read_without_a_checkout(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    record = read_run(open_source("main"))
    assert record.predictions is not None
    assert record.train["steps"] == 12
    assert open_source("main").names(paths.SNAPSHOTS) == ["snapshot-00000000.pt"]
    assert read_run(open_source("workspace")).train == {}
    assert not (repository / paths.PREDICTIONS).exists()


def test_a_folder_of_a_revision_is_a_run_too(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    source = open_source("main:metrics")
    assert source.read(Path("train.json")) is not None
    assert source.names(Path()) == sorted(os.listdir(repository / "metrics"))  # noqa: PTH208
    assert source.names(Path("absent")) == []


def test_what_the_cache_has_lost_is_missing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (repository / ".dvc" / "cache").rename(repository / ".dvc" / "elsewhere")
    try:
        record = read_run(open_source("main"))
        snapshot = open_source("main").read(paths.SNAPSHOTS / "snapshot-00000000.pt")
    finally:
        (repository / ".dvc" / "elsewhere").rename(repository / ".dvc" / "cache")
    assert "plots/predictions.csv" in record.missing
    assert record.train["steps"] == 12
    assert snapshot is None


@pytest.mark.parametrize("name", ["", ":metrics"])
def test_a_run_has_a_name(name: str) -> None:
    with pytest.raises(RunError, match="name of a run is empty"):
        open_source(name)


def test_a_folder_without_a_run_is_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run: neither"):
        load_run(open_source(str(tmp_path)))


@pytest.mark.parametrize("name", ["no-such-run", "main~7"])
def test_what_is_no_run_is_told_in_a_paragraph(
    name: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    with pytest.raises(RunError, match=f"no run called '{name}'"):
        open_source(name)


def test_outside_git_a_revision_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no run called"):
        open_source("main")
