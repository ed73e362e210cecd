"""Handwritten digits: 1,797 grey images of 8x8 pixels that come with scikit-learn.

The test part of UCI's "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998,
https://archive.ics.uci.edu/dataset/80). Nothing is downloaded, and there is no official split.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.datasets.arrays import collection_of

if TYPE_CHECKING:
    from stages.core.sections import Dataset
    from stages.datasets.pool import Collection

NAMES = ("digits",)


def open_collection(dataset: "Dataset") -> "Collection":
    """All 1,797 digits, their 17 grey levels spread over 0 … 255."""
    spec = find_spec("sklearn")  # whose import would take seconds, for a table that lies in it
    assert spec is not None
    assert spec.origin is not None
    table = np.loadtxt(Path(spec.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    levels, labels = table[:, :-1], table[:, -1].astype(np.int64)
    pixels = (levels.astype(np.int64) * 255 + 8) // 16
    return collection_of(
        [str(digit) for digit in range(10)],
        pixels.astype(np.uint8).reshape(-1, 8, 8),
        labels.tolist(),
        ["any"] * len(labels),
    )
