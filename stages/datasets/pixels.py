"""The pixels of a subset: all images of a split as one uint8 array, ready for the device.

Every image is stored as an RGB square at one size, the same for all splits: `input_px`, or the
largest shorter side among the chosen images if that is less, so that small images stay small in
memory and are enlarged on the device. Decoded pixels are kept (`pixel_cache`), so that the next
stage loads them in a fraction of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import DataError
from stages.core.metrics import read_metrics
from stages.core.paths import SUBSET_METRICS
from stages.core.records import require_recorded
from stages.datasets import open_collection
from stages.datasets.pixel_cache import Pack, find_pack, pack_folder, save_pack
from stages.datasets.pool import Collection, read_table
from stages.datasets.reading import fits_in_a_pack, read_collection

if TYPE_CHECKING:
    import pandas as pd

    from stages.core.sections import Dataset


@dataclass(frozen=True)
class Split:
    """Images in selection order: `pixels` uint8 [n, 3, s, s] RGB, `labels` [n], `names`."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: list[str]


def read_indices(path: Path) -> "pd.DataFrame":
    """`data/indices.csv`: split, name, label, class, digest.

    Raises RunError when it is missing or not the list that was recorded.
    """
    recorded = read_metrics(SUBSET_METRICS).get("indices_sha256")
    require_recorded(path, recorded, SUBSET_METRICS)
    return read_table(path)


def load_splits(
    dataset: "Dataset", indices: "pd.DataFrame", input_px: int, wanted: Sequence[str]
) -> dict[str, Split]:
    """The wanted splits ("train", "val", "test") of a subset, fetched and decoded if need be.

    Raises DataError when an image is gone, unreadable, or not what was listed.
    """
    pack = _pack_with(dataset, indices, input_px)
    every = pack.rows_of(indices["digest"].tolist(), input_px)
    if every is None:
        raise DataError(_changed(dataset, indices, set(pack.digests)))
    side = int(np.minimum(pack.native_px[every], input_px).max())
    splits = {}
    for name in wanted:
        mine = (indices["split"] == name).to_numpy()
        splits[name] = Split(
            pack.squares(every[mine], side),
            indices["label"].to_numpy(np.int64)[mine],
            indices["name"][mine].tolist(),
        )
    return splits


def _pack_with(dataset: "Dataset", indices: "pd.DataFrame", input_px: int) -> Pack:
    """A pack that has every listed image, unless the data set lost one."""
    folder = pack_folder(dataset.name)
    digests = indices["digest"].tolist()
    kept = find_pack(folder, digests, input_px)
    if kept is not None:
        return kept
    collection = open_collection(dataset)
    rows = _rows_to_read(collection, indices, input_px)
    pack = read_collection(collection, rows, input_px, dataset.on_corrupt).pack
    save_pack(folder, pack)
    return pack


def _rows_to_read(collection: Collection, indices: "pd.DataFrame", input_px: int) -> Sequence[int]:
    """All images where that is cheap to keep, so that any other subset finds them; else these."""
    if fits_in_a_pack(len(collection.names), input_px):
        return range(len(collection.names))
    listed = set(indices["name"])
    return [row for row, name in enumerate(collection.names) if name in listed]


def _changed(dataset: "Dataset", indices: "pd.DataFrame", present: set[str]) -> str:
    gone = [
        name
        for name, digest in zip(indices["name"], indices["digest"], strict=True)
        if digest not in present
    ]
    return (
        f"{len(gone)} of the {len(indices)} images in data/indices.csv are no longer in the data "
        f"set {dataset.name}, or have changed, the first of them {gone[0]}. Run `dvc repro`, which "
        "lists the images and chooses anew."
    )
