"""Fetch the pictures of a data set, check every one, and list them.

Archives go to `data/raw`, verified by SHA-256, and are fetched once. Every picture is decoded,
so that a broken one is told here and not in the middle of training; the decoded pixels are kept
under `.work` for the stages that follow. Writes `data/pool.csv`, a row per picture with the
SHA-256 of its content, `data/near_duplicates.csv`, pictures that are copies of one another though
not byte for byte, and `data/manifest.json`, what the data set is and what it came from.
"""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stages.core import files, paths
from stages.core.cli import run_stage
from stages.core.counts import counted
from stages.core.records import write_record

SHOWN = 20  # names of files that are left out for one reason
NAMED = 10  # classes in the line on the screen

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.datasets.near_duplicates import Alike
    from stages.datasets.pool import Collection, Pool
    from stages.datasets.reading import Reading


def download(params: "Params") -> None:
    """Write the pool and the manifest of `dataset`.

    `input_size` is the size at which decoded pixels are kept, and near-duplicates looked for.
    """
    from stages.datasets import open_collection
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
    about = manifest(dataset.name, collection, reading, pool, alike)
    write_record(paths.MANIFEST, about)
    sys.stdout.write(f"{images_and_classes(pool)}\n")
    for note in about["notes"]:
        sys.stderr.write(f"{note}.\n")


def images_and_classes(pool: "Pool") -> str:
    """What was found, in a line: a folder that was not meant as a class shows here."""
    more = len(pool.classes) - NAMED
    named = ", ".join(pool.classes[:NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(pool.names):,} images of {len(pool.classes)} classes: {named}"


def notes_of(collection: "Collection", reading: "Reading") -> list[str]:
    """What a user must be told of the data set: what was left out of it, and how it was read."""
    said = list(collection.notes)
    if collection.left_out:
        files_left_out = sum(map(len, collection.left_out.values()))
        counts = ", ".join(f"{len(names)} {why}" for why, names in collection.left_out.items())
        said.append(
            f"{counted(files_left_out, 'file')} left out ({counts}); {paths.MANIFEST} names some"
        )
    if reading.skipped:
        said.append(
            f"{len(reading.skipped)} of {len(collection.names)} images cannot be read and are left "
            f"out; {paths.MANIFEST} names them"
        )
    if twelve := reading.bits[12]:
        said.append(
            f"{counted(twelve, 'image')} of 16 bits stay below 4,096 and are taken for 12-bit, "
            f"beside {reading.bits[16]} that use more"
        )
    return said


def manifest(
    name: str, collection: "Collection", reading: "Reading", pool: "Pool", alike: "Alike"
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
        "skipped": [asdict(image) for image in reading.skipped],
        "left_out": {
            reason: {"files": len(names), "first": sorted(names)[:SHOWN]}
            for reason, names in collection.left_out.items()
        },
        "near_duplicates": {"compared": alike.compared, "px": reading.pack.largest_px}
        | {"images": len(alike.table), "groups": int(alike.table["group"].nunique())},
        "notes": [*notes_of(collection, reading), *alike.notes],
        "pool_sha256": files.sha256_of_file(paths.POOL),
        "near_duplicates_sha256": files.sha256_of_file(paths.NEAR_DUPLICATES),
    }


if __name__ == "__main__":
    sys.exit(run_stage(download))
