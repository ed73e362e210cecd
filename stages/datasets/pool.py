"""A data set in two views: the collection, which can be read, and the pool, which describes it.

A source gives a `Collection`; reading every image of it once gives the `Pool`, all about a data set
but its pixels.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.core.files import missing

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

Rows = NDArray[np.int64]
"""Of a pool."""


@dataclass(frozen=True)
class Collection:
    """Images that can be read one by one; nothing is decoded yet.

    `splits` holds "train", "test" and perhaps "val", or "any" where the data set has no official
    split. `left_out` has the names of files that are no images here, by reason; `notes` what was
    read out of the folders and must be told.
    `content(i)` gives the bytes whose SHA-256 identifies image i; `picture` turns them into a
    Pillow image, which may load lazily and fail then.
    """

    classes: list[str]
    names: list[str]
    splits: list[str]
    labels: list[int]
    content: Callable[[int], bytes]
    picture: Callable[[bytes], "Image.Image"]
    files: list[Path] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Pool:
    """All about a data set but its pixels; `digests` are hex SHA-256 of each image's content."""

    classes: list[str]
    labels: NDArray[np.int64]
    splits: list[str]
    names: list[str]
    digests: list[str]

    def images_by_split(self) -> dict[str, int]:
        """How many images the pool has of each split."""
        return {split: self.splits.count(split) for split in sorted(set(self.splits))}

    def table(self) -> "pd.DataFrame":
        """A row per image: split, name, label, digest."""
        import pandas as pd

        return pd.DataFrame(
            {
                "split": self.splits,
                "name": self.names,
                "label": self.labels,
                "digest": self.digests,
            }
        )


def pool_of(collection: Collection, rows: Sequence[int], digests: list[str]) -> Pool:
    """The pool of the images that were read: their rows in the collection and their digests."""
    return Pool(
        collection.classes,
        np.array([collection.labels[row] for row in rows], np.int64),
        [collection.splits[row] for row in rows],
        [collection.names[row] for row in rows],
        digests,
    )


def read_pool(path: Path, classes: list[str]) -> Pool:
    """The pool in a table that the download wrote. Raises RunError when it is missing."""
    table = read_table(path)
    return Pool(
        classes,
        table["label"].to_numpy(np.int64),
        table["split"].tolist(),
        table["name"].tolist(),
        table["digest"].tolist(),
    )


def read_table(path: Path) -> "pd.DataFrame":
    """A table of images (`data/pool.csv`, `data/indices.csv`) with its texts kept as texts.

    A class may be called "null" or "001". Raises RunError when the file is missing.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise missing(path) from None
    return table.astype({"label": "int64"})


def numbered(splits: Sequence[str]) -> list[str]:
    """Names for images that have none: the split and a number within it, "train/00017"."""
    seen: Counter[str] = Counter()
    names = []
    for split in splits:
        names.append(f"{split}/{seen[split]:05d}")
        seen[split] += 1
    return names
