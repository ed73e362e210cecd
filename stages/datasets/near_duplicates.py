"""Near-duplicates: the same picture resized, re-encoded, brightened, or as a thumbnail of itself.

Every picture is reduced to 16x16 RGB (Torralba, Fergus & Freeman 2008, "80 million tiny images"),
freed of brightness and contrast, and held against the others by Euclidean distance. Pairs come out
of a k-d tree over a few axes of the same space, in which no pair is farther apart than it is
(Agrawal, Faloutsos & Swami 1993, "Efficient similarity search in sequence databases"): none is
missed. Finds more copies with fewer false alarms than a perceptual hash of 64 bits, in less time.
Pictures below 32 px are left out, for simple shapes in so few pixels are alike without being
copies; so are those of one tone. Crops, rotations and grey versions are not found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.datasets.pool import read_table

if TYPE_CHECKING:
    import pandas as pd

    from stages.datasets.pool import Pool
    from stages.datasets.reading import Image
    from stages.datasets.selection import Selection

SMALLEST_PX = 32
SIDE = 16
FARTHEST = 0.25  # of 2 that are possible; a correlation of 0.97
LEAST_CONTRAST = 2.0  # standard deviation of the values, of 255
COARSE, AXES = 4, 12  # the tree's axes, out of pictures of 4x4
MOST_PAIRS = 20_000_000
AT_A_TIME = 1 << 14
Float = NDArray[np.float32]


@dataclass(frozen=True)
class Alike:
    """A row per picture that has a near-duplicate (group, name, label, digest), out of `compared`.

    `notes` say why pairs are not listed where there are too many, as in the frames of a film.
    """

    table: "pd.DataFrame"
    compared: int
    notes: list[str]


class Thumbnails:
    """Small versions of the pictures of a collection, taken while they are decoded."""

    def __init__(self) -> None:
        self._by_row: dict[int, bytes] = {}

    def add(self, image: "Image") -> None:
        """Keep the thumbnail of a picture that is large enough."""
        from PIL import Image as Pillow

        if image.square.side < SMALLEST_PX:
            return
        whole = Pillow.fromarray(np.ascontiguousarray(image.square.pixels.transpose(1, 2, 0)))
        self._by_row[image.row] = whole.resize((SIDE, SIDE), Pillow.Resampling.BOX).tobytes()

    def of(self, rows: Sequence[int]) -> tuple[NDArray[np.int64], Float]:
        """Which of `rows` can be compared, as places in it, and their vectors of length one."""
        places = np.array([p for p, row in enumerate(rows) if row in self._by_row], np.int64)
        content = b"".join(self._by_row[rows[place]] for place in places.tolist())
        values = np.frombuffer(content, np.uint8).reshape(-1, SIDE * SIDE, 3).astype(np.float32)
        values -= values.mean(1, keepdims=True)
        vectors = values.reshape(-1, 3 * SIDE * SIDE)
        lengths = np.linalg.norm(vectors, axis=1)
        told = lengths >= LEAST_CONTRAST * np.sqrt(vectors.shape[1])
        return places[told], vectors[told] / lengths[told, None]


def near_duplicates(pool: "Pool", rows: Sequence[int], thumbnails: Thumbnails) -> Alike:
    """The near-duplicates of a pool, whose pictures are `rows` of the collection.

    Copies byte for byte count once.
    """
    import pandas as pd

    _, first = np.unique(np.array(pool.digests), return_index=True)
    places, vectors = thumbnails.of([rows[place] for place in first.tolist()])
    pairs, notes = _pairs(vectors) if len(places) else (np.empty((0, 2), np.int64), [])
    own = first[places]
    table = pd.DataFrame(
        {
            "group": _groups(len(places), pairs),
            "name": [pool.names[place] for place in own.tolist()],
            "label": pool.labels[own],
            "digest": [pool.digests[place] for place in own.tolist()],
        }
    )
    table = table[table["group"].duplicated(keep=False)].sort_values("name")
    table["group"] = pd.factorize(table["group"])[0]
    return Alike(table.sort_values(["group", "name"]), len(places), notes)


def _pairs(vectors: Float) -> tuple[NDArray[np.int64], list[str]]:
    """All pairs within `FARTHEST`, [n, 2]; none, and a note, where there are too many."""
    from scipy.spatial import KDTree

    step = SIDE // COARSE
    blocks = vectors.reshape(-1, COARSE, step, COARSE, step, 3).mean((2, 4)) * step
    coarse = blocks.reshape(len(vectors), -1)
    tree = KDTree(coarse @ np.linalg.eigh(coarse.T @ coarse)[1][:, -AXES:], leafsize=32)
    sample = tree.data[:: max(1, len(vectors) // 1000)]
    neighbors = tree.query_ball_point(sample, FARTHEST, return_length=True).mean() - 1
    if (expected := neighbors * len(vectors) / 2) > MOST_PAIRS:
        note = (
            f"About {expected:,.0f} pairs of images look alike, as the frames of a film do, and "
            "near-duplicates are not listed. Keep each series in one of train and test"
        )
        return np.empty((0, 2), np.int64), [note]
    pairs = tree.query_pairs(FARTHEST, output_type="ndarray").astype(np.int64)
    near = [
        np.linalg.norm(vectors[some[:, 0]] - vectors[some[:, 1]], axis=1) <= FARTHEST
        for some in np.array_split(pairs, len(pairs) // AT_A_TIME + 1)
    ]
    return pairs[np.concatenate(near)], []


def _groups(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each picture, the same for those that pairs connect."""
    if not len(pairs):
        return np.arange(count)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(links, directed=False)[1].astype(np.int64)


def read_near_duplicates(path: Path) -> "pd.DataFrame":
    """The table that the download wrote. Raises RunError when it is missing."""
    return read_table(path).astype({"group": "int64"})


def across_splits(
    table: "pd.DataFrame", pool: "Pool", selection: "Selection"
) -> list[tuple[str, str]]:
    """Test images that have a near-duplicate among those that train or validate: both names."""
    group_of = dict(zip(table["digest"], table["group"], strict=True))
    learnt: dict[int, str] = {}
    for row in [*selection.train.tolist(), *selection.val.tolist()]:
        if (group := group_of.get(pool.digests[row])) is not None:
            learnt.setdefault(group, pool.names[row])
    tested = [(pool.names[row], group_of.get(pool.digests[row])) for row in selection.test.tolist()]
    return sorted((name, learnt[group]) for name, group in tested if group in learnt)


def across_classes(table: "pd.DataFrame") -> list[tuple[str, str]]:
    """Near-duplicates under more than one class: the names of the first two of each group."""
    named = table.drop_duplicates(["group", "label"])
    groups = named[named["group"].duplicated(keep=False)].groupby("group")["name"]
    return [(names.iloc[0], names.iloc[1]) for _, names in groups]
