"""Fetch the pictures of a data set, check every one, and list them.

Archives go to `data/raw`, verified by SHA-256, and are fetched once. Every picture is decoded,
so that a broken one is told here and not in the middle of training; the decoded pixels are kept
under `.work` for the stages that follow. Writes `data/pool.csv`, a row per picture with the
SHA-256 of its content, `data/near_duplicates.csv`, pictures that are copies of one another though
not byte for byte, and `data/manifest.json`, what the data set is and what it came from.
"""

import sys
from typing import TYPE_CHECKING, Any

from stages.core import files, paths
from stages.core.cli import run_stage
from stages.core.records import write_record

NAMED = 10  # classes in the line on the screen

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.datasets.findings import Findings
    from stages.datasets.near_duplicates import Alike
    from stages.datasets.pool import Collection, Pool
    from stages.datasets.reading import Reading


def download(params: "Params") -> None:
    """Write the pool and the manifest of `dataset`.

    `input_size` is the size at which decoded pixels are kept, and near-duplicates looked for.
    """
    from stages.datasets import open_collection
    from stages.datasets.findings import findings_of
    from stages.datasets.near_duplicates import Thumbnails, near_duplicates
    from stages.datasets.pixel_cache import pack_folder, save_pack
    from stages.datasets.pool import pool_of
    from stages.datasets.reading import fits_in_a_pack, read_collection

    dataset = params.dataset
    collection = open_collection(dataset)
    images = len(collection.names)
    keep = fits_in_a_pack(images, params.input_size)
    thumbnails = Thumbnails()
    reading = read_collection(
        collection, range(images), params.input_size, dataset.on_corrupt, keep, thumbnails.add
    )
    if keep:
        save_pack(pack_folder(dataset.name), reading.pack)
    pool = pool_of(collection, reading.rows, reading.pack.digests)
    files.write_csv(paths.POOL, pool.table())
    alike = near_duplicates(pool, reading.rows, thumbnails)
    files.write_csv(paths.NEAR_DUPLICATES, alike.table)
    found = findings_of(collection, reading, alike)
    about = manifest(dataset.name, collection, reading, pool, alike, found)
    write_record(paths.MANIFEST, about)
    sys.stdout.write(f"{images_and_classes(pool)}\n")
    for note in about["notes"]:
        sys.stderr.write(f"{note}.\n")


def images_and_classes(pool: "Pool") -> str:
    """What was found, in a line: a folder that was not meant as a class shows here."""
    more = len(pool.classes) - NAMED
    named = ", ".join(pool.classes[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(pool.names):,} images of {len(pool.classes)} classes: {named}"


def manifest(
    name: str,
    collection: "Collection",
    reading: "Reading",
    pool: "Pool",
    alike: "Alike",
    found: "Findings",
) -> dict[str, Any]:
    """What the data set is: classes, images per split, sizes, checksums; what is not in it."""
    native_px = reading.pack.native_px
    return {
        "dataset": name,
        "classes": pool.classes,
        "images": {split: pool.splits.count(split) for split in sorted(set(pool.splits))},
        "short_side_px_min": int(native_px.min()),
        "short_side_px_max": int(native_px.max()),
        "files": [
            {
                "path": file.name,
                "bytes": file.stat().st_size,
                "sha256": files.sha256_of_file(file),
            }
            for file in collection.files
        ],
        "skipped": found.skipped,
        "left_out": found.left_out,
        "near_duplicates": {"compared": alike.compared, "px": reading.pack.largest_px}
        | {"images": len(alike.table), "groups": int(alike.table["group"].nunique())},
        "notes": found.sentences(str(paths.MANIFEST)),
        "pool_sha256": files.sha256_of_file(paths.POOL),
        "near_duplicates_sha256": files.sha256_of_file(paths.NEAR_DUPLICATES),
    }


if __name__ == "__main__":
    sys.exit(run_stage(download))
