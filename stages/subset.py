"""Choose the images that train, validate and test: stratified, nested, the same on any machine.

Writes `data/indices.csv`, a row per image in the order in which subsets grow,
`data/class_counts.csv` and `metrics/subset.json`. The law is in `stages/datasets/selection.py`.
"""

import sys
from typing import TYPE_CHECKING, Any

from stages.core import files, paths
from stages.core.cli import run_stage
from stages.core.counts import counted
from stages.core.metrics import write_metrics
from stages.core.records import read_record, require_recorded

SHOWN = 5  # pairs in a message

if TYPE_CHECKING:
    from stages.core.params import Params
    from stages.datasets.pool import Pool
    from stages.datasets.selection import Selection


def subset(params: "Params") -> None:
    """Draw the subset that `subset` asks for out of the pool that the download listed."""
    from stages.datasets.near_duplicates import across_classes, across_splits, read_near_duplicates
    from stages.datasets.pool import read_pool
    from stages.datasets.selection import choose, class_counts, indices_table

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
    notes = near_duplicate_notes(leaks, conflicts)
    told = {
        "near_duplicates_train_test": len(leaks),
        "near_duplicates_conflicting": len(conflicts),
        "data_notes": [*manifest.get("notes", []), *notes],
    }
    write_metrics(paths.SUBSET_METRICS, metrics(pool, selection, digest) | told, ["id"])
    if selection.conflicting_labels:
        sys.stderr.write(
            f"Images that occur under more than one class: {selection.conflicting_labels}, in "
            f"{paths.POOL} with one digest: {_same_images(pool)}.\n"
        )
    for note in notes:
        sys.stderr.write(f"{note}.\n")


def near_duplicate_notes(
    leaks: list[tuple[str, str]], conflicts: list[tuple[str, str]]
) -> list[str]:
    """What to say of near-duplicates across the splits and across classes; nothing for none."""
    said = []
    if leaks:
        said.append(
            f"{counted(len(leaks), 'test image')} with a near-duplicate among those that train or "
            f"validate, which makes the accuracy look better than it is: {_named(leaks)}"
        )
    if conflicts:
        said.append(
            f"{counted(len(conflicts), 'image')} with a near-duplicate under another class, so one "
            f"of the two labels is wrong or neither is: {_named(conflicts)}"
        )
    return said


def _same_images(pool: "Pool") -> str:
    """The first names of images whose content stands under more than one class."""
    names: dict[str, dict[int, str]] = {}
    for digest, label, name in zip(pool.digests, pool.labels.tolist(), pool.names, strict=True):
        names.setdefault(digest, {}).setdefault(label, name)
    several = (list(one.values()) for one in names.values() if len(one) > 1)
    found = [f"{one} and {other}" for one, other, *_ in several]
    return ", ".join(found[:SHOWN]) + (", …" if len(found) > SHOWN else "")


def _named(pairs: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{one} like {other}" for one, other in pairs[:SHOWN])
    return shown + (f" and more, all in {paths.NEAR_DUPLICATES}" if len(pairs) > SHOWN else "")


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
