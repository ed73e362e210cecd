"""CIFAR-10 and CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels in colour.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009
(https://www.cs.toronto.edu/~kriz/cifar.html). CIFAR-100 carries its 100 fine labels.
The archives hold Python pickles, which are read by an unpickler that builds arrays and
nothing else.
"""

import pickle
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.datasets.arrays import collection_of
from stages.datasets.fetching import Archive, fetch

if TYPE_CHECKING:
    from stages.core.sections import Dataset
    from stages.datasets.pool import Collection


@dataclass(frozen=True)
class Layout:
    """Where an archive keeps what: member names and the keys in their pickled dictionaries."""

    archive: Archive
    train: tuple[str, ...]
    test: str
    meta: str
    labels_key: str
    classes_key: str


LAYOUTS = {
    "cifar10": Layout(
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
        train=tuple(f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6)),
        test="cifar-10-batches-py/test_batch",
        meta="cifar-10-batches-py/batches.meta",
        labels_key="labels",
        classes_key="label_names",
    ),
    "cifar100": Layout(
        Archive(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        ),
        train=("cifar-100-python/train",),
        test="cifar-100-python/test",
        meta="cifar-100-python/meta",
        labels_key="fine_labels",
        classes_key="fine_label_names",
    ),
}
NAMES = tuple(LAYOUTS)


def open_collection(dataset: "Dataset") -> "Collection":
    """All 60,000 images, fetched if need be. Raises DataError when they cannot be had."""
    layout = LAYOUTS[dataset.name]
    path = fetch(layout.archive, dataset.name)
    members = _read_members(path, {*layout.train, layout.test, layout.meta})
    batches = [members[name] for name in (*layout.train, layout.test)]
    pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = [int(label) for batch in batches for label in batch[layout.labels_key]]
    test_images = len(members[layout.test][layout.labels_key])
    return collection_of(
        members[layout.meta][layout.classes_key],
        np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)),
        labels,
        ["train"] * (len(labels) - test_images) + ["test"] * test_images,
        (path,),
    )


def _read_members(path: Path, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """The unpickled dictionaries of the wanted members, in one pass through the archive."""
    found = {}
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.name in wanted else None
            if opened is not None:
                found[member.name] = _ArraysOnly(opened, encoding="latin1").load()
    return found


class _ArraysOnly(pickle.Unpickler):
    """Loads numbers, texts, containers and NumPy arrays; refuses every other class."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): str.encode,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"the archive asks for {module}.{name}")
        return allowed[module, name]


def _empty_array(kind: type, shape: tuple[int, ...], typecode: object) -> Any:
    """What NumPy's pickles start from: an array whose state, type included, is set next."""
    return np.empty(shape, np.int8)
