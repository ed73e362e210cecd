"""The embedded digits."""

import numpy as np

from stages.core.sections import Dataset
from stages.datasets.reading import read_collection
from stages.datasets.sources import digits


def test_digits_need_no_network_and_fill_the_range():
    collection = digits.open_collection(Dataset())
    assert len(collection.names) == 1797
    assert set(collection.splits) == {"any"}
    assert np.bincount(collection.labels).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip
    pack = read_collection(collection, range(20), 32, "stop").pack
    pixels = pack.squares(np.arange(20), 8)
    assert pixels.shape == (20, 3, 8, 8)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert (pixels[:, 0] == pixels[:, 2]).all()
