"""Splits load in selection order, at one size, from the data set or from what was kept."""

import numpy as np
import pytest
from PIL import Image

from stages.core import files
from stages.core.errors import DataError, RunError
from stages.core.sections import Dataset, Subset
from stages.datasets import SOURCES, reading
from stages.datasets.pixel_cache import pack_folder
from stages.datasets.pixels import load_splits
from stages.datasets.pool import pool_of, read_table
from stages.datasets.reading import read_collection
from stages.datasets.selection import choose, indices_table
from tests.datasets.samples import image_folder, random_pixels, write_pictures


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    folder = tmp_path / "pictures"
    return image_folder(write_pictures(folder, {"cat": 20, "dog": 20}, px=12))


def drawn(dataset: Dataset, **subset: object):
    collection = SOURCES[dataset.name].open_collection(dataset)
    result = read_collection(collection, range(len(collection.names)), 64, dataset.on_corrupt)
    pool = pool_of(collection, result.rows, result.pack.digests)
    return indices_table(pool, choose(pool, Subset(**subset), dataset.name))


def decoded(dataset: Dataset, name: str) -> np.ndarray:
    picture = Image.open(f"{dataset.folder}/{name}")
    return np.asarray(picture.convert("RGB")).transpose(2, 0, 1)


def test_images_arrive_in_selection_order(dataset, repository):
    indices = drawn(dataset, train=10, val=6)
    splits = load_splits(dataset, indices, 32, ["train", "val", "test"])
    assert list(splits) == ["train", "val", "test"]
    for name, split in splits.items():
        listed = indices[indices["split"] == name]
        assert split.names == listed["name"].tolist()
        assert split.labels.tolist() == listed["label"].tolist()
        assert split.labels.dtype == np.int64
        assert split.pixels.shape == (len(listed), 3, 12, 12)
        assert split.pixels.flags.c_contiguous
        assert split.pixels.flags.writeable
        for row in range(len(listed)):
            np.testing.assert_array_equal(split.pixels[row], decoded(dataset, split.names[row]))


def test_what_was_decoded_once_is_found_again(dataset, repository, monkeypatch):
    indices = drawn(dataset)
    first = load_splits(dataset, indices, 32, ["train"])["train"]
    monkeypatch.delitem(SOURCES, dataset.name)  # nothing is read from the folder any more
    again = load_splits(dataset, indices, 32, ["train"])["train"]
    np.testing.assert_array_equal(first.pixels, again.pixels)
    other_size = load_splits(dataset, indices, 224, ["test"])["test"]
    assert other_size.pixels.shape[-1] == 12


def test_another_subset_of_a_small_data_set_is_there_already(dataset, repository, monkeypatch):
    load_splits(dataset, drawn(dataset, train=4), 32, ["train"])
    indices = drawn(dataset, seed=5)
    monkeypatch.delitem(SOURCES, dataset.name)
    assert len(load_splits(dataset, indices, 32, ["train"])["train"].names) == 29


def test_of_a_large_data_set_only_the_subset_is_read(dataset, repository, monkeypatch):
    monkeypatch.setattr(reading, "PACK_LIMIT_BYTES", 1)
    indices = drawn(dataset, train=4, val=2, test=2)
    load_splits(dataset, indices, 32, ["test"])
    (index,) = pack_folder(dataset.name).glob("*.index")
    assert np.load(index)["native_px"].shape == (8,)
    monkeypatch.delitem(SOURCES, dataset.name)
    assert len(load_splits(dataset, indices, 32, ["train"])["train"].names) == 4


def test_large_images_are_reduced_to_the_input(dataset, repository):
    indices = drawn(dataset)
    at_12 = load_splits(dataset, indices, 12, ["train"])["train"].pixels
    at_8 = load_splits(dataset, indices, 8, ["train"])["train"].pixels
    assert (at_12.shape[-1], at_8.shape[-1]) == (12, 8)
    assert at_8.std() < at_12.std()


def test_mixed_sizes_come_at_that_of_the_largest(dataset, repository):
    for number, px in enumerate((7, 30, 100)):
        Image.fromarray(random_pixels(px, 2 * px, 3)).save(f"{dataset.folder}/cat/x{number}.png")
    indices = drawn(dataset, val=0)
    for input_px, side in ((64, 64), (200, 100), (9, 9)):
        splits = load_splits(dataset, indices, input_px, ["train", "test"])
        assert {split.pixels.shape[-1] for split in splits.values()} == {side}


def test_grey_arrays_become_rgb(repository):
    indices = drawn(Dataset(), train=100, val=0, test=50)
    train = load_splits(Dataset(), indices, 32, ["train"])["train"]
    assert train.pixels.shape == (100, 3, 8, 8)
    assert (train.pixels[:, 0] == train.pixels[:, 1]).all()


def test_an_image_that_is_gone_is_told(dataset, repository):
    indices = drawn(dataset)
    (repository.parent / "pictures" / indices["name"][3]).unlink()
    with pytest.raises(DataError, match="1 of the 40 images") as caught:
        load_splits(dataset, indices, 32, ["train"])
    assert indices["name"][3] in str(caught.value)
    assert "dvc repro" in str(caught.value)


def test_an_image_that_changed_is_told(dataset, repository, monkeypatch):
    monkeypatch.setattr(reading, "PACK_LIMIT_BYTES", 1)
    indices = drawn(dataset)
    Image.fromarray(random_pixels(12, 12, 3)).save(f"{dataset.folder}/{indices['name'][0]}")
    with pytest.raises(DataError, match="1 of the 40 images"):
        load_splits(dataset, indices, 32, ["train"])


def test_indices_come_back_as_written(dataset, tmp_path):
    indices = drawn(dataset)
    files.write_csv(tmp_path / "indices.csv", indices)
    back = read_table(tmp_path / "indices.csv")
    assert back.astype(str).equals(indices.astype(str))
    with pytest.raises(RunError):
        read_table(tmp_path / "nothing.csv")
