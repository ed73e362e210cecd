"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes, 28x28 pixels, grey.

Xiao, Rasul & Vollgraf 2017 (arXiv:1708.07747, https://github.com/zalandoresearch/fashion-mnist).
Four gzipped files in the IDX format of MNIST (http://yann.lecun.com/exdb/mnist).
"""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.datasets.arrays import collection_of
from stages.datasets.fetching import Archive, fetch

if TYPE_CHECKING:
    from stages.core.sections import Dataset
    from stages.datasets.pool import Collection

NAMES = ("fashion_mnist",)
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]  # fmt: skip
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
ARCHIVES = {
    name: Archive(f"{ADDRESS}/{name}-ubyte.gz", sha256)
    for name, sha256 in {
        "train-images-idx3": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }.items()
}


def open_collection(dataset: "Dataset") -> "Collection":
    """All 70,000 images, fetched if need be. Raises DataError when they cannot be had."""
    paths = {name: fetch(archive, dataset.name) for name, archive in ARCHIVES.items()}
    parts = {name: _read_idx(path) for name, path in paths.items()}
    labels = [parts["train-labels-idx1"], parts["t10k-labels-idx1"]]
    return collection_of(
        CLASSES,
        np.concatenate([parts["train-images-idx3"], parts["t10k-images-idx3"]]),
        np.concatenate(labels).tolist(),
        ["train"] * len(labels[0]) + ["test"] * len(labels[1]),
        tuple(paths.values()),
    )


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of bytes in an IDX file: two zeros, type 8, dimensions, sizes, then the data."""
    with gzip.open(path) as opened:
        dimensions = opened.read(4)[3]
        shape = np.frombuffer(opened.read(4 * dimensions), ">u4")
        return np.frombuffer(opened.read(), np.uint8).reshape(shape)
