"""Your own pictures: a folder, or a zip of one, with a folder per class."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.core.params import Dataset
    from stages.datasets.pool import Collection

NAMES = ("image_folder",)


def open_collection(dataset: "Dataset") -> "Collection":
    """Every picture below `dataset.folder`."""
    raise RuntimeError(dataset.folder)
