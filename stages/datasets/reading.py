"""Every image of a collection read once: digested, decoded, reduced; broken ones told or skipped.

Large pictures are decoded on a few threads, for Pillow lets go of the interpreter meanwhile.
"""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from statistics import median

import numpy as np

from stages.core.errors import DataError
from stages.datasets.decoding import Square, square_of
from stages.datasets.pixel_cache import Pack
from stages.datasets.pool import Collection

SHOWN = 20
PACK_LIMIT_BYTES = 2 << 30
PROBES = 16
AHEAD = 64  # images that are decoded before they are asked for, at most
SLOW_SECONDS = 0.002


@dataclass(frozen=True)
class Image:
    """One image of a collection: its row there, the SHA-256 of its content, and its pixels."""

    row: int
    digest: str
    square: Square


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, by a name that can be written, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Reading:
    """What came of reading: the rows read, a pack of them in that order, and what was skipped.

    `bits` counts the images by the bits of a value that are used in their files.
    """

    rows: list[int]
    pack: Pack
    skipped: list[Unreadable]
    bits: Counter[int]


def read_collection(
    collection: Collection,
    rows: Sequence[int],
    largest_px: int,
    on_corrupt: str,
    keep_pixels: bool = True,
    look: Callable[[Image], None] = lambda image: None,
) -> Reading:
    """Read the images at `rows`; without `keep_pixels` the pack knows all but the pixels.

    `look` is called with every image that was read.

    Raises DataError, naming all that cannot be read, unless `on_corrupt` is "skip".
    """
    good, digests, native_px, pixels, broken = [], [], [], bytearray(), []
    bits: Counter[int] = Counter()
    for image in read_images(collection, rows, largest_px):
        if isinstance(image, Unreadable):
            broken.append(image)
            continue
        good.append(image.row)
        digests.append(image.digest)
        native_px.append(image.square.native_px)
        bits[image.square.bits] += 1
        look(image)
        if keep_pixels:
            pixels += image.square.pixels.tobytes()
    if broken and (on_corrupt == "stop" or not good):
        raise complain(collection, broken)
    natives = np.array(native_px, np.int64)
    pack = Pack(digests, natives, largest_px, np.frombuffer(pixels, np.uint8))
    return Reading(good, pack, broken, bits)


def fits_in_a_pack(images: int, largest_px: int) -> bool:
    """Whether so many images surely take less than the limit on a pack of a whole data set."""
    return images * 3 * largest_px**2 <= PACK_LIMIT_BYTES


def read_images(
    collection: Collection, rows: Sequence[int], largest_px: int
) -> Iterator[Image | Unreadable]:
    """Read and decode the images at `rows`, in that order, under a progress bar with ETA."""
    from tqdm import tqdm

    def read(row: int) -> Image | Unreadable:
        return _read_one(collection, row, largest_px)

    images = _in_order(read, rows)
    yield from tqdm(images, "reading images", len(rows), unit="image", disable=None)


def _in_order(
    read: Callable[[int], Image | Unreadable], rows: Sequence[int]
) -> Iterator[Image | Unreadable]:
    """Call `read` on every row: on threads when that pays, which it does not for small images."""
    seconds = []
    for row in rows[:PROBES]:
        started = time.perf_counter()
        image = read(row)
        seconds.append(time.perf_counter() - started)
        yield image
    if len(rows) <= PROBES or median(seconds) < SLOW_SECONDS:
        yield from map(read, rows[PROBES:])
    else:
        with ThreadPool(min(os.cpu_count() or 1, 8)) as pool:
            for start in range(PROBES, len(rows), AHEAD):
                yield from pool.imap(read, rows[start : start + AHEAD])


def _read_one(collection: Collection, row: int, largest_px: int) -> Image | Unreadable:
    content = None
    try:
        collection.names[row].encode()
        content = collection.content(row)
        square = square_of(collection.picture(content), largest_px)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers raise whatever their parsers run into
        name = collection.names[row].encode(errors="replace").decode()
        return Unreadable(name, reason_of(error, content))
    return Image(row, hashlib.sha256(content).hexdigest(), square)


def reason_of(error: Exception, content: bytes | None = None) -> str:
    """Why a file could not be read, in words; Pillow's own may quote an address in memory."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no picture of a known format" if content else "it is empty"
    if isinstance(error, FileNotFoundError):
        return "it is gone, or a link to what is gone"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, ValueError):  # ours says what the picture is
        return str(error)
    return f"it is damaged: {str(error) or type(error).__name__}"


def complain(collection: Collection, broken: Sequence[Unreadable]) -> DataError:
    """One error that names every unreadable image, the first twenty of them with the reason."""
    lines = [f"{bad.name} ({bad.reason})" for bad in broken[:SHOWN]]
    if len(broken) > SHOWN:
        lines.append(f"and {len(broken) - SHOWN} more")
    return DataError(
        f"{len(broken)} of {len(collection.names)} images cannot be read: {'; '.join(lines)}. "
        "Replace or remove them, or go on without them: set `dataset.on_corrupt: skip`, in a study "
        "as `on_corrupt: skip` in the `dataset` below `base` of its params.yaml (a new one takes "
        "`--skip-corrupt`)."
    )
