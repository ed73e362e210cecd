"""Tables of images come back as they were written."""

import numpy as np
import pytest

from stages.core import files
from stages.core.errors import DataError, RunError
from stages.core.sections import Dataset
from stages.datasets import SOURCES, open_collection
from stages.datasets.pool import Pool, numbered, read_pool, read_table

ODD = ["null", "001", "NaN", "Käse, alt", 'a "b"', " 1e5", "True"]


def test_names_that_look_like_numbers_stay_texts(tmp_path):
    digests = [f"{number:064d}" for number in range(len(ODD))]
    pool = Pool(ODD, np.arange(len(ODD)), ["any"] * len(ODD), ODD, digests)
    files.write_csv(tmp_path / "pool.csv", pool.table())
    back = read_pool(tmp_path / "pool.csv", ODD)
    assert (back.names, back.splits, back.digests) == (pool.names, pool.splits, digests)
    np.testing.assert_array_equal(back.labels, pool.labels)


def test_a_missing_table_says_what_to_run(tmp_path):
    with pytest.raises(RunError, match="dvc repro"):
        read_table(tmp_path / "pool.csv")


def test_numbers_count_within_the_split():
    assert numbered(["train", "test", "train"]) == ["train/00000", "test/00000", "train/00001"]


def test_every_source_is_found():
    assert sorted(SOURCES) == ["cifar10", "cifar100", "digits", "fashion_mnist", "image_folder"]
    for name, module in SOURCES.items():
        assert name in module.NAMES


def test_an_unknown_data_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match=r"`dataset.name` is \"cifr10\".*Did you mean cifar10\?"):
        open_collection(Dataset(name="cifr10"))
