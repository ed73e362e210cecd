"""Near-duplicates: the same picture resized, re-encoded, brightened, or as a thumbnail of itself.

Every picture is reduced to 16x16 RGB (Torralba, Fergus & Freeman 2008, "80 million tiny images"),
freed of brightness and contrast, and held against the others by Euclidean distance. Which pairs
can be near is known from 4x4 of the same, in which none is farther apart than it is (Agrawal,
Faloutsos & Swami 1993, "Efficient similarity search in sequence databases"): none is missed. Finds
more copies with fewer false alarms than a perceptual hash of 64 bits, in less time.
Pictures below 32 px are left out, for simple shapes in so few pixels are alike without being
copies; so are those of one tone. Crops, rotations and grey versions are not found.
"""

from collections.abc import Iterator, Sequence
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
COARSE = 4
SLACK = 1e-3  # what rounding may do to a distance
NEAR = -np.float32((FARTHEST + SLACK) ** 2 / 2)
MOST_PAIRS = 20_000_000
BLOCK = 1 << 9  # pictures that are held against as many others at once
TOGETHER_PX = 1 << 21  # of squares that are reduced at once
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
        self._waiting: dict[int, dict[int, bytes]] = {}

    def add(self, image: "Image") -> None:
        """Keep the thumbnail of a picture that is large enough."""
        side = image.square.side
        if side >= SMALLEST_PX:
            waiting = self._waiting.setdefault(side, {})
            waiting[image.row] = image.square.pixels.transpose(1, 2, 0).tobytes()
            if len(waiting) * side**2 > TOGETHER_PX:
                self._reduce(side)

    def _reduce(self, side: int) -> None:
        """Reduce the squares of one side that wait, all as one tall picture."""
        from PIL import Image as Pillow

        waiting = self._waiting.pop(side)
        tall = Pillow.frombuffer("RGB", (side, side * len(waiting)), b"".join(waiting.values()))
        for px in ((SIDE, tall.height), (SIDE, SIDE * len(waiting))):  # rows first, as in a square
            tall = tall.resize(px, Pillow.Resampling.BOX)
        small = tall.tobytes()
        size = 3 * SIDE**2
        for place, row in enumerate(waiting):
            self._by_row[row] = small[place * size : (place + 1) * size]

    def of(self, rows: Sequence[int]) -> tuple[NDArray[np.int64], Float]:
        """Which of `rows` can be compared, as places in it, and their vectors of length one."""
        for side in list(self._waiting):
            self._reduce(side)
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
    from threadpoolctl import threadpool_limits

    _, first = np.unique(np.array(pool.digests), return_index=True)
    places, vectors = thumbnails.of([rows[place] for place in first.tolist()])
    pairs, notes = np.empty((0, 2), np.int64), list[str]()
    if len(places):
        with threadpool_limits(1):  # products are too small for more, which would wait busily
            pairs, notes = _pairs(vectors)
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
    step = SIDE // COARSE
    blocks = vectors.reshape(-1, COARSE, step, COARSE, step, 3).mean((2, 4)) * step
    coarse = blocks.reshape(len(vectors), -1)
    along = coarse @ np.linalg.eigh(coarse.T @ coarse)[1][:, -1]
    order = np.argsort(along, kind="stable")
    rows, columns = _factors(coarse[order])
    if (expected := _expected(rows, columns)) > MOST_PAIRS:
        note = (
            f"About {expected:,.0f} pairs of images look alike, as the frames of a film do, and "
            "near-duplicates are not listed. Keep each series in one of train and test"
        )
        return np.empty((0, 2), np.int64), [note]
    found = [np.empty((0, 2), np.int64)]
    for some in _near(rows, columns, along[order]):
        pairs = order[some]
        alike = np.einsum("ij,ij->i", *vectors[pairs.T])
        found.append(pairs[alike >= 1 - FARTHEST**2 / 2])
    return np.concatenate(found), []


def _factors(points: Float) -> tuple[Float, Float]:
    """[n, d] and [d, n] whose product is less half of every squared distance of two points."""
    half, one = (points**2).sum(1) / 2, np.ones(len(points), np.float32)
    return np.column_stack([points, -half, one]), np.column_stack([points, one, -half]).T.copy()


def _expected(rows: Float, columns: Float) -> float:
    """About how many pairs `_near` would give, from a sample."""
    sample = rows[:: max(1, len(rows) // 1000)]
    counts = [
        np.count_nonzero(sample @ columns[:, start : start + BLOCK] > NEAR)
        for start in range(0, len(rows), BLOCK)
    ]
    return (sum(counts) / len(sample) - 1) * len(rows) / 2


def _near(rows: Float, columns: Float, along: Float) -> Iterator[NDArray[np.int64]]:
    """Pairs that may be within `FARTHEST`, [n, 2] at a time, by the product of `_factors`.

    The points are in the order of `along`, the axis on which they are farthest apart.
    """
    ends = np.searchsorted(along, along + FARTHEST + SLACK)
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        for other in range(start, ends[start + len(some) - 1], BLOCK):
            near = some @ columns[:, other : other + BLOCK] > NEAR
            left, right = np.divmod(np.flatnonzero(near), near.shape[1])
            found = np.column_stack([start + left, other + right])
            yield found[found[:, 0] < found[:, 1]]


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
