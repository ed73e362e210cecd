"""How many near-duplicates a data set has, and how many copies of its pictures would be found.

`python benchmarks/near_duplicates.py PICTURES [--images N]` searches a folder or zip as the
download does. Then it copies N of its images in several ways, and tiles of 160 px of scikit-learn's
two photographs, and counts how many copies come out in the group of what they were made from.
"""

import argparse
import hashlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages.core.params import Params  # noqa: E402
from stages.datasets import open_collection, reading  # noqa: E402
from stages.datasets.decoding import picture_of, square_of  # noqa: E402
from stages.datasets.near_duplicates import (  # noqa: E402
    Alike,
    Thumbnails,
    across_splits,
    near_duplicates,
)
from stages.datasets.pool import Pool, pool_of  # noqa: E402
from stages.datasets.selection import choose  # noqa: E402

TILE_PX = 160
PX = Params().input_size


def as_file(picture: Image.Image, form: str = "PNG", quality: int = 75) -> bytes:
    """A picture as the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, form, quality=quality)
    return file.getvalue()


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    """The picture in another size."""
    width, height = (round(side * factor) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG of quality 90": lambda picture: as_file(picture, "JPEG", 90),
    "JPEG of quality 50": lambda picture: as_file(picture, "JPEG", 50),
    "enlarged to twice": lambda picture: as_file(scaled(picture, 2)),
    "brightened by 30 %": lambda picture: as_file(ImageEnhance.Brightness(picture).enhance(1.3)),
    "shrunk to 3/4 and back": lambda picture: as_file(scaled(scaled(picture, 0.75), 4 / 3)),
    "shrunk to a half": lambda picture: as_file(scaled(picture, 1 / 2)),
    "shrunk to a third": lambda picture: as_file(scaled(picture, 1 / 3)),
    "grey": lambda picture: as_file(picture.convert("L")),
    "an eighth cut off": lambda picture: as_file(
        picture.crop((0, 0, *(s * 7 // 8 for s in picture.size)))
    ),
}


def search(contents: Sequence[bytes]) -> Alike:
    """The near-duplicates among files, which are named by number."""
    thumbnails, digests = Thumbnails(), [hashlib.sha256(one).hexdigest() for one in contents]
    for row, content in enumerate(contents):
        square = square_of(picture_of(content), PX)
        thumbnails.add(reading.Image(row, digests[row], square))
    count = len(contents)
    names = [str(row) for row in range(count)]
    pool = Pool(["any"], np.zeros(count, np.int64), ["any"] * count, names, digests)
    return near_duplicates(pool, range(count), thumbnails)


def print_found(what: str, originals: Sequence[bytes]) -> None:
    """How many copies of each kind are found; nothing of a kind that is too small to compare."""
    for kind, copied in COPIES.items():
        copies = [copied(picture_of(content).convert("RGB")) for content in originals]
        alike = search([*originals, *copies])
        group = dict(zip(alike.table["name"].astype(int), alike.table["group"], strict=True))
        count = len(originals)
        found = sum(group.get(row, -1) == group.get(row + count) for row in range(count))
        told = f"{found} of {count}" if alike.compared > count else "not compared, below 32 px"
        print(f"{what}, {kind}: {told}")


def print_whole(folder: str, images: int) -> list[bytes]:
    """What the download and the subset would say of the data set; some of its files."""
    params = Params.model_validate({"dataset": {"name": "image_folder", "folder": folder}})
    collection, thumbnails = open_collection(params.dataset), Thumbnails()
    rows = range(len(collection.names))
    read = reading.read_collection(collection, rows, PX, "skip", True, thumbnails.add)
    pool = pool_of(collection, read.rows, read.pack.digests)
    began = time.process_time()
    alike = near_duplicates(pool, read.rows, thumbnails)
    seconds = time.process_time() - began
    leaks = across_splits(alike.table, pool, choose(pool, params.subset, "image_folder"))
    print(
        f"{len(alike.table)} images in {alike.table['group'].nunique()} groups, out of "
        f"{alike.compared} compared; {len(leaks)} test images have a copy in training; "
        f"{seconds:.1f} s of processor time to search"
    )
    step = max(1, len(rows) // images)
    return [collection.content(row) for row in read.rows[::step][:images]]


def photograph_tiles() -> list[bytes]:
    """scikit-learn's two photographs, cut into squares."""
    from sklearn.datasets import load_sample_images

    return [
        as_file(Image.fromarray(whole[top : top + TILE_PX, left : left + TILE_PX]))
        for whole in load_sample_images().images
        for top in range(0, whole.shape[0] - TILE_PX + 1, TILE_PX)
        for left in range(0, whole.shape[1] - TILE_PX + 1, TILE_PX)
    ]


def main() -> None:
    """Search, copy, search again, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures")
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    print_found("its images", print_whole(arguments.pictures, arguments.images))
    print_found("photographs of 160 px", photograph_tiles())


if __name__ == "__main__":
    main()
