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
from stages.core.counts import first_few
from stages.core.records import write_record
from stages.runs.stage import run_stage

NAMED = 10  # classes in the line on the screen

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.datasets.data_set import DataSet
    from stages.datasets.pool import Pool


def download(params: "Params") -> None:
    """Write the pool and the manifest of `dataset`."""
    from stages.datasets.data_set import read_data_set

    found = read_data_set(params.dataset, params.input_size)
    files.write_csv(paths.POOL, found.pool.table())
    files.write_csv(paths.NEAR_DUPLICATES, found.alike.table)
    about = manifest(params.dataset.name, found)
    write_record(paths.MANIFEST, about)
    sys.stdout.write(f"{images_and_classes(found.pool)}\n")
    for note in about["notes"]:
        sys.stderr.write(f"{note}.\n")


def images_and_classes(pool: "Pool") -> str:
    """What was found, in a line: a folder that was not meant as a class shows here."""
    named = first_few(pool.classes, NAMED)
    return f"{len(pool.names):,} images of {len(pool.classes)} classes: {named}"


def manifest(name: str, found: "DataSet") -> dict[str, Any]:
    """What the data set is: classes, images per split, sizes, checksums; what is not in it.

    The pool and its near-duplicates are those written.
    """
    native_px, alike = found.reading.pack.native_px, found.alike
    return {
        "dataset": name,
        "classes": found.pool.classes,
        "images": found.pool.images_by_split(),
        "short_side_px_min": int(native_px.min()),
        "short_side_px_max": int(native_px.max()),
        "files": [
            {
                "path": file.name,
                "bytes": file.stat().st_size,
                "sha256": files.sha256_of_file(file),
            }
            for file in found.collection.files
        ],
        "skipped": found.findings.skipped,
        "left_out": found.findings.left_out,
        "near_duplicates": {"compared": alike.compared, "px": found.reading.pack.largest_px}
        | {"images": len(alike.table), "groups": int(alike.table["group"].nunique())},
        "notes": found.findings.sentences(str(paths.MANIFEST)),
        "pool_sha256": files.sha256_of_file(paths.POOL),
        "near_duplicates_sha256": files.sha256_of_file(paths.NEAR_DUPLICATES),
    }


if __name__ == "__main__":
    sys.exit(run_stage(download))
