"""Fetch the pictures of a data set, check every one, and list them.

Archives go to `data/raw`, verified by SHA-256, and are fetched once. Every picture is decoded,
so that a broken one is told here and not in the middle of training; the decoded pixels are kept
under `.work` for the stages that follow. Writes `data/pool.csv`, a row per picture with the
SHA-256 of its content, and `data/manifest.json`, what the data set is and what it came from.
"""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stages.core import files, paths
from stages.core.cli import run_stage
from stages.core.records import write_record

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.datasets.pool import Collection, Pool
    from stages.datasets.reading import Reading


def download(params: "Params") -> None:
    """Write the pool and the manifest of `dataset`.

    `input_size` decides nothing of them, only the size at which decoded pixels are kept.
    """
    from stages.datasets import open_collection
    from stages.datasets.pixel_cache import pack_folder, save_pack
    from stages.datasets.pool import pool_of
    from stages.datasets.reading import fits_in_a_pack, read_collection

    dataset = params.dataset
    collection = open_collection(dataset)
    images = len(collection.names)
    keep = fits_in_a_pack(images, params.input_size)
    reading = read_collection(
        collection, range(images), params.input_size, dataset.on_corrupt, keep
    )
    if keep:
        save_pack(pack_folder(dataset.name), reading.pack)
    pool = pool_of(collection, reading.rows, reading.pack.digests)
    files.write_csv(paths.POOL, pool.table())
    write_record(paths.MANIFEST, manifest(dataset.name, collection, reading, pool))
    if reading.skipped:
        sys.stderr.write(
            f"{len(reading.skipped)} of {images} images cannot be read and are left out; "
            f"{paths.MANIFEST} names them.\n"
        )


def manifest(
    name: str, collection: "Collection", reading: "Reading", pool: "Pool"
) -> dict[str, Any]:
    """What the data set is: classes, images per split, sizes, files with checksums, skipped."""
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
        "pool_sha256": files.sha256_of_file(paths.POOL),
    }


if __name__ == "__main__":
    sys.exit(run_stage(download))
