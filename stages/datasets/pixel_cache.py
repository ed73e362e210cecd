"""Decoded pixels kept on disk, found again by what the images contain.

A pack holds squares of many images, each at its own size, with the digest of each image. Pixels
are looked up by digest and size, so a pack cannot be stale: what is not in it is decoded anew.
A pack is two files named by their contents: an index, and the pixels, which are mapped into
memory and not read. Leaves decoding to `decoding` and the choice of images to `pixels`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.files import replacing, sha256_of_file, sha256_of_json
from stages.core.paths import work_folder
from stages.datasets import decoding
from stages.datasets.decoding import enlarged


@dataclass(frozen=True)
class Pack:
    """Squares of images by digest: [3, side, side] each, end to end in the flat `pixels`.

    `side` is an image's shorter side, `native_px`, or `largest_px` if that is less.
    """

    digests: list[str]
    native_px: NDArray[np.int64]
    largest_px: int
    pixels: NDArray[np.uint8]

    @cached_property
    def sides(self) -> NDArray[np.int64]:
        """Side of each stored square, in pixels."""
        return np.minimum(self.native_px, self.largest_px)

    def rows_of(self, digests: Sequence[str], largest_px: int) -> NDArray[np.int64] | None:
        """Where these images lie at this size; None unless all of them do."""
        known = {digest: row for row, digest in enumerate(self.digests)}
        if not known.keys() >= set(digests):
            return None
        rows = np.array([known[digest] for digest in digests], np.int64)
        wanted_sides = np.minimum(self.native_px[rows], largest_px)
        return rows if np.array_equal(wanted_sides, self.sides[rows]) else None

    def squares(self, rows: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
        """The images at `rows` as [n, 3, side, side], smaller ones enlarged."""
        if (self.sides == side).all():
            stacked: NDArray[np.uint8] = self.pixels.reshape(-1, 3, side, side)[rows]
            return stacked
        ends = np.cumsum(3 * self.sides**2)
        result = np.empty((len(rows), 3, side, side), np.uint8)
        for place, row in enumerate(rows.tolist()):
            own = int(self.sides[row])
            square = self.pixels[ends[row] - 3 * own**2 : ends[row]].reshape(3, own, own)
            result[place] = square if own == side else enlarged(square, side)
        return result


def save_pack(folder: Path, pack: Pack) -> None:
    """Write a pack, whole or not at all. Raises OSError when the folder cannot be written."""
    key = sha256_of_json([pack.digests, pack.largest_px])[:32]
    with replacing(folder / f"{key}.pixels") as temporary:
        temporary.write_bytes(pack.pixels.data)
    with replacing(folder / f"{key}.npz") as temporary:  # last: it says that the pixels are there
        np.savez(
            temporary,
            digests=np.frombuffer(bytes.fromhex("".join(pack.digests)), np.uint8),
            native_px=pack.native_px,
            largest_px=np.int64(pack.largest_px),
        )


def pack_folder(name: str) -> Path:
    """Where packs of a data set lie: another folder for another Pillow or another decoding."""
    import PIL

    code = sha256_of_file(decoding.__file__)[:8]
    return work_folder() / "decoded" / f"{name}-pillow{PIL.__version__}-{code}"


def find_pack(folder: Path, digests: Sequence[str], largest_px: int) -> Pack | None:
    """A pack in the folder that has all these images at this size, or None."""
    for index in sorted(folder.glob("*.npz")):
        if index.with_suffix(".pixels").exists():
            pack = _open_pack(index)
            if pack.rows_of(digests, largest_px) is not None:
                return pack
    return None


def _open_pack(index: Path) -> Pack:
    with np.load(index) as arrays:
        digests = arrays["digests"].tobytes().hex()
        native_px, largest_px = arrays["native_px"], int(arrays["largest_px"])
    pixels = np.memmap(index.with_suffix(".pixels"), np.uint8, "r")
    return Pack(
        [digests[start : start + 64] for start in range(0, len(digests), 64)],
        native_px,
        largest_px,
        np.asarray(pixels),
    )
