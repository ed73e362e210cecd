"""Choose the images that train, validate and test: stratified, nested, the same on any machine.

Writes `data/indices.csv`, a row per image in the order in which subsets grow,
`data/class_counts.csv` and `metrics/subset.json`. The law is in `stages/datasets/selection.py`.
"""

import sys
from typing import TYPE_CHECKING, Any

from stages.core import files, paths
from stages.core.metrics import write_metrics
from stages.core.records import read_record, require_recorded
from stages.runs.stage import run_stage

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.datasets.pool import Pool
    from stages.datasets.selection import Selection


def subset(params: "Params") -> None:
    """Draw the subset that `subset` asks for out of the pool that the download listed."""
    from stages.datasets.findings import (
        conflict_notes,
        conflicts_in,
        copy_notes,
        near_duplicate_notes,
    )
    from stages.datasets.near_duplicates import across_classes, across_splits, read_near_duplicates
    from stages.datasets.pool import read_pool
    from stages.datasets.selection import choose, class_counts, indices_table
    from stages.runs.made_with import made_with

    manifest = read_record(paths.MANIFEST)
    classes = manifest["classes"]
    require_recorded(paths.POOL, manifest["pool_sha256"], paths.MANIFEST)
    require_recorded(paths.NEAR_DUPLICATES, manifest.get("near_duplicates_sha256"), paths.MANIFEST)
    pool, alike = read_pool(paths.POOL, classes), read_near_duplicates(paths.NEAR_DUPLICATES)
    selection = choose(pool, params.subset, params.dataset.name)
    indices = indices_table(pool, selection)
    files.write_csv(paths.INDICES, indices)
    files.write_csv(paths.CLASS_COUNTS, class_counts(classes, indices))
    digest = files.sha256_of_file(paths.INDICES)
    leaks, conflicts = across_splits(alike, pool, selection), across_classes(alike)
    notes = [
        *copy_notes(selection),
        *conflict_notes(conflicts_in(pool), str(paths.POOL)),
        *near_duplicate_notes(leaks, len(selection.test), conflicts, str(paths.NEAR_DUPLICATES)),
    ]
    told = {
        "near_duplicates_train_test": len(leaks),
        "near_duplicates_conflicting": len(conflicts),
        "data_notes": [*manifest.get("notes", []), *notes],
        **made_with("subset", params),
    }
    write_metrics(paths.SUBSET_METRICS, metrics(pool, selection, digest) | told, ["id"])
    for note in notes:
        sys.stderr.write(f"{note}.\n")


def metrics(pool: "Pool", selection: "Selection", indices_sha256: str) -> dict[str, Any]:
    """How many images were chosen, which ones (a hash), and how many copies were met."""
    return {
        "id": indices_sha256[:12],
        "train_images": len(selection.train),
        "val_images": len(selection.val),
        "test_images": len(selection.test),
        "pool_images": len(pool.names),
        "classes": len(pool.classes),
        "indices_sha256": indices_sha256,
        "duplicates_train_test": selection.duplicates_train_test,
        "duplicates_within_train": selection.duplicates_within_train,
        "duplicates_within_test": selection.duplicates_within_test,
        "conflicting_labels": selection.conflicting_labels,
    }


if __name__ == "__main__":
    sys.exit(run_stage(subset))
