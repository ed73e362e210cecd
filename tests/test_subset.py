"""The subset stage: files, hash, and the paragraph for what cannot be had."""

import shutil

import pytest
import yaml

from stages.core import paths
from stages.core.metrics import read_metrics
from stages.datasets.pool import read_table
from stages.download import download
from stages.runs.stage import run_stage
from stages.subset import subset
from tests.datasets.samples import sha256, write_pictures


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def run(dataset: dict | None = None, **amounts: object) -> int:
    values = {"dataset": dataset or {"name": "digits"}, "subset": amounts}
    paths.PARAMS.write_text(yaml.safe_dump(values))
    if not paths.POOL.exists():
        assert run_stage(download, []) == 0
    return run_stage(subset, [])


def metrics() -> dict:
    return read_metrics(paths.SUBSET_METRICS)


def test_the_default_draw_of_digits():
    assert run() == 0
    found = metrics()
    assert (found["test_images"], found["classes"], found["pool_images"]) == (359, 10, 1797)
    assert found["train_images"] + found["val_images"] + found["test_images"] == 1797
    assert found["indices_sha256"] == sha256(paths.INDICES)
    counts = read_counts()
    assert list(counts[0]) == ["class", "train", "val", "test"]
    assert sum(int(row["train"]) for row in counts) == found["train_images"]


def read_counts() -> list[dict[str, str]]:
    header, *rows = [line.split(",") for line in paths.CLASS_COUNTS.read_text().split()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_indices_are_in_the_order_in_which_subsets_grow():
    run(train=500)
    large = read_table(paths.INDICES)
    run(train=100)
    small = read_table(paths.INDICES)
    assert large.columns.tolist() == ["split", "name", "label", "class", "digest"]
    grown = [table[table["split"] == "train"]["name"].tolist() for table in (small, large)]
    assert grown[0] == grown[1][:100]
    assert large.tail(359).reset_index(drop=True).equals(small.tail(359).reset_index(drop=True))


def test_another_seed_draws_others():
    run(train=100, seed=0)
    first = metrics()["indices_sha256"]
    run(train=100, seed=1)
    assert metrics()["indices_sha256"] != first


def test_the_draw_of_digits_is_the_same_for_ever():
    run(train=100, val=50, test=50, seed=3)
    golden = "8775525f1dbacb2513582cb677eea1dc553f1e36b455ea2149c681522c9738a2"
    assert metrics()["indices_sha256"] == golden


def test_too_many_is_one_paragraph_and_writes_nothing(capsys):
    assert run(train=5000) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "`subset.train` is 5000" in message
    assert "has 1,438 images to train and validate with" in message
    assert not paths.INDICES.exists()


def test_copies_in_a_folder_are_counted(tmp_path, capsys):
    folder = write_pictures(tmp_path / "a", {"train/x": 9, "train/y": 9, "test/x": 2, "test/y": 2})
    shutil.copy(folder / "test/x/000.png", folder / "train/x/copy.png")
    shutil.copy(folder / "train/x/000.png", folder / "train/x/again.png")
    shutil.copy(folder / "train/x/001.png", folder / "train/y/as-another-class.png")
    assert run({"name": "image_folder", "folder": str(folder)}, val=0) == 0
    found = metrics()
    assert found["duplicates_train_test"] == 1
    assert found["duplicates_within_train"] == 2
    assert found["duplicates_within_test"] == 0
    assert found["conflicting_labels"] == 1
    assert (found["train_images"], found["test_images"]) == (18, 4)
    said = capsys.readouterr().err
    assert "train/x/001.png and train/y/as-another-class.png" in said
    assert "1 image to train or validate with is a copy of ones that test or validate, byte" in said
    assert "2 second copies byte for byte among images to train with, left out." in said
    assert len(found["data_notes"]) == 3


def test_without_a_download_it_says_what_to_run(capsys):
    paths.PARAMS.write_text("{}")
    assert run_stage(subset, []) == 1
    assert "dvc repro" in capsys.readouterr().err
