"""Near-duplicates: resized, re-encoded and brightened copies are told by name; others are not."""

import numpy as np
import pytest
import yaml
from PIL import Image, ImageEnhance

from stages.core import paths
from stages.core.metrics import read_metrics
from stages.core.records import read_record
from stages.datasets import near_duplicates, reading
from stages.datasets.decoding import Square
from stages.download import download
from stages.runs.stage import run_stage
from stages.subset import subset


def picture(number: int, px: int = 80) -> Image.Image:
    """Blurred noise, in which no two are alike."""
    draws = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(draws).resize((px, px), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    for place, name in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            picture(100 * place + number).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


def run(**others: object) -> None:
    dataset = {"name": "image_folder", "folder": "pictures"}
    paths.PARAMS.write_text(yaml.safe_dump({"dataset": dataset, **others}))
    assert run_stage(download, []) == run_stage(subset, []) == 0


def test_copies_are_told_with_their_names(folder, capsys):
    copied = picture(200), picture(201), picture(302)
    copied[0].resize((40, 40)).save(folder / "train/cat/small.jpg", quality=70)
    ImageEnhance.Brightness(copied[1]).enhance(0.7).save(folder / "train/cat/dark.webp")
    copied[2].save(folder / "train/cat/same.jpg", quality=40)
    run()
    said = " ".join(capsys.readouterr().err.split())
    assert "3 of 12 test images with a near-duplicate" in said
    assert "test/cat/0.png like train/cat/small.jpg" in said
    assert "test/cat/1.png like train/cat/dark.webp" in said
    assert "1 image with a near-duplicate under another class" in said
    assert "test/dog/2.png like train/cat/same.jpg" in said
    found = read_metrics(paths.SUBSET_METRICS)
    assert found["near_duplicates_train_test"] == 3
    assert found["near_duplicates_conflicting"] == 1
    assert len(found["data_notes"]) == 2
    about = read_record(paths.MANIFEST)["near_duplicates"]
    assert about == {"compared": 27, "px": 32, "images": 6, "groups": 3}


def test_pictures_that_are_reduced_together_are_as_each_by_itself():
    thumbnails, squares = near_duplicates.Thumbnails(), []
    for row in range(3):
        squares.append(picture(row, 40))
        square = Square(np.asarray(squares[-1]).transpose(2, 0, 1), 40)
        thumbnails.add(reading.Image(row, "", square))
    small = [one.resize((16, 16), Image.Resampling.BOX) for one in squares]
    values = np.stack([np.asarray(one, np.float32) for one in small])
    values -= values.mean((1, 2), keepdims=True)
    places, vectors = thumbnails.of(range(4))
    assert places.tolist() == [0, 1, 2]
    expected = values.reshape(3, -1) / np.linalg.norm(values.reshape(3, -1), axis=1)[:, None]
    np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_small_and_plain_pictures_are_not_compared(folder, capsys):
    for name, tone in (("a", 90), ("b", 91)):
        Image.new("RGB", (64, 64), (tone, tone, tone)).save(folder / f"train/cat/{name}.png")
        picture(7, px=24).save(folder / f"train/dog/small_{name}.png")
    run()
    assert read_record(paths.MANIFEST)["near_duplicates"]["compared"] == 24
    assert "near-duplicate" not in capsys.readouterr().err


def test_series_that_are_all_alike_are_told_and_not_listed(folder, monkeypatch, capsys):
    monkeypatch.setattr(near_duplicates, "MOST_PAIRS", 10)
    for number in range(30):
        picture(0).save(folder / "train/dog" / f"frame{number}.jpg", quality=50 + number)
    run()
    assert "pairs of images look alike" in capsys.readouterr().err
    assert read_record(paths.MANIFEST)["near_duplicates"]["images"] == 0
