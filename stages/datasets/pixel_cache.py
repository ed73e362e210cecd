"""Decoded pixels kept on disk, found again by what the images contain.

A pack holds squares of many images, each at its own size, with the digest of each image. Pixels are
looked up by digest and size, so a pack cannot be stale: what is not in it is decoded anew. A pack
is two files named by the SHA-256 of the index, which knows a hash of every image's pixels; these
are mapped into memory and not read. What has been damaged on the disk since is noticed when it is
looked for, told and removed, and so made anew.
"""

import hashlib
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.files import replacing, sha256_of_file
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
    index = io.BytesIO()
    np.savez(
        index,
        digests=np.frombuffer(bytes.fromhex("".join(pack.digests)), np.uint8),
        native_px=pack.native_px,
        largest_px=np.int64(pack.largest_px),
        hashes=np.fromiter(_hashes(pack, np.arange(len(pack.digests))), np.uint64),
    )
    key = hashlib.sha256(index.getbuffer()).hexdigest()
    with replacing(folder / f"{key}.pixels") as temporary:
        temporary.write_bytes(pack.pixels.data)
    with replacing(folder / f"{key}.index") as temporary:  # last: it says that the pixels are there
        temporary.write_bytes(index.getbuffer())


def _hashes(pack: Pack, rows: NDArray[np.int64]) -> Iterator[int]:
    """A hash of each image's stored pixels, at memory speed."""
    from xxhash import xxh3_64_intdigest

    sizes = 3 * pack.sides**2
    starts = np.cumsum(sizes) - sizes
    for start, size in zip(starts[rows].tolist(), sizes[rows].tolist(), strict=True):
        yield xxh3_64_intdigest(pack.pixels[start : start + size].data)


def pack_folder(name: str) -> Path:
    """Where packs of a data set lie: another folder for another Pillow or another decoding."""
    import PIL

    code = sha256_of_file(decoding.__file__)[:8]
    return work_folder() / "decoded" / f"{name}-pillow{PIL.__version__}-{code}"


def find_pack(folder: Path, digests: Sequence[str], largest_px: int) -> Pack | None:
    """A pack in the folder that has all these images at this size, undamaged, or None."""
    for index in sorted(folder.glob("[!.]*.index")):  # without those that are being written
        stored = index.with_suffix(".pixels")
        try:
            pack, hashes = _open_pack(index.read_bytes(), index.stem, stored)
            rows = pack.rows_of(digests, largest_px)
            if rows is None:
                continue
            if not np.array_equal(np.fromiter(_hashes(pack, rows), np.uint64), hashes[rows]):
                raise ValueError("pixels")
            return pack
        except FileNotFoundError:  # not written yet, or another process found it damaged
            continue
        except ValueError:
            sys.stderr.write(f"Decoded images in {stored} are damaged; decoding them anew.\n")
            index.unlink(missing_ok=True)
            stored.unlink(missing_ok=True)
    return None


def _open_pack(index: bytes, key: str, stored: Path) -> tuple[Pack, NDArray[np.uint64]]:
    """A pack and the hashes of its images. Raises ValueError for a damaged or shortened one."""
    if hashlib.sha256(index).hexdigest() != key:
        raise ValueError("index")
    with np.load(io.BytesIO(index)) as arrays:
        digests, hashes = arrays["digests"].tobytes().hex(), arrays["hashes"]
        native_px, largest_px = arrays["native_px"], int(arrays["largest_px"])
    pixels = np.asarray(np.memmap(stored, np.uint8, "r"))  # ValueError when the file is empty
    named = [digests[start : start + 64] for start in range(0, len(digests), 64)]
    pack = Pack(named, native_px, largest_px, pixels)
    if len(pixels) != 3 * (pack.sides**2).sum():
        raise ValueError("size")
    return pack, hashes
