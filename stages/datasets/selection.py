"""The subset law: which images train, validate and test, the same on every machine.

One order of the images decides: by (2 * rank + 1) / (2 * class size), which spreads every class
evenly (the divisors of Webster and Sainte-Lague), where the rank within a class is that of a
SHA-256 of data set, purpose, `subset.seed` and the image's content. The first images train, the
last ones validate, so a smaller subset is always inside a larger one and neither part moves the
other; file order and library versions do not matter.

Test images come from the official test set, by the same law, or are taken first out of a pool
that has no official split. `full` means the whole official test set, a fifth of a pool that has
none, and for training all that validation leaves. A share is one of the images that the part is
drawn from. Test images are all kept; a training image that is also a test image, or a second copy
of a training image, is left out. An official validation set validates whole, unless `subset.val`
is a count; what is also in the test set is left out of it, and what is in it out of training.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stages.core.counts import counted
from stages.core.errors import DataError
from stages.datasets.class_checks import refuse_empty_classes, refuse_single_images
from stages.datasets.pool import Pool, Rows

if TYPE_CHECKING:
    import pandas as pd

    from stages.core.sections import Subset

TEST_SHARE_OF_A_POOL = 0.2


@dataclass(frozen=True)
class Selection:
    """Rows of the pool for each split, in nested order, and how many copies were met."""

    train: Rows
    val: Rows
    test: Rows
    duplicates_train_test: int
    duplicates_within_train: int
    duplicates_within_test: int
    conflicting_labels: int


def choose(pool: Pool, subset: "Subset", dataset: str) -> Selection:
    """Choose the rows of a subset.

    Raises DataError when more images are asked for than there are, or when a class would get no
    training or no test image.
    """
    official = np.array([split == "test" for split in pool.splits])
    validating = np.array([split == "val" for split in pool.splits])
    everything = np.arange(len(pool.names))
    if not official.any():
        refuse_single_images(pool)
    test_pool = everything[official] if official.any() else everything
    test_order = nested_order(pool, test_pool, dataset, "test", subset.seed)
    test = test_order[: _test_count(subset, len(test_pool), bool(official.any()))]
    barred = test_pool if official.any() else test
    own_val, val_in_test, val_copies = _without_copies(pool, everything[validating], barred)
    if validating.any() and not len(own_val):
        raise DataError(
            "Every image of the validation part is a copy of one that tests. Give it other "
            "pictures, or take it away, and validation is drawn from the training part."
        )
    rest = np.setdiff1d(everything[~validating], barred)
    kept_apart = np.concatenate([barred, own_val])
    train_pool, seen, copies = _without_copies(pool, rest, kept_apart)
    order = nested_order(pool, train_pool, dataset, "train", subset.seed)
    if not len(order):
        raise DataError(
            f"No image is left to train with: {counted(len(rest), 'image')} of the training part "
            "are all copies of images that test or validate. Give them other pictures."
        )
    train_count, val_count = _train_and_val_counts(subset, len(order), len(own_val))
    val = order[::-1][:val_count]
    if len(own_val):
        val = nested_order(pool, own_val, dataset, "val", subset.seed)[:val_count]
    refuse_empty_classes(pool, test_order, len(test), "test")
    refuse_empty_classes(pool, order, train_count, "train")
    return Selection(
        order[:train_count],
        val,
        test,
        seen + val_in_test,
        copies + val_copies,
        len(test) - len({pool.digests[row] for row in test}),
        conflicting_labels(pool),
    )


def require_enough(subset: "Subset", images: Mapping[str, int]) -> tuple[int, int, int]:
    """Raise DataError when so many images per split (train, test, val, any) cannot be enough.

    Returns how many train, validate and test. Copies and what cannot be read, which only `choose`
    knows of, are not left out.
    """
    everything, official = sum(images.values()), images.get("test", 0)
    test = _test_count(subset, official or everything, official > 0)
    own_val = images.get("val", 0)
    rest = everything - (official or test) - own_val
    return *_train_and_val_counts(subset, rest, own_val), test


def nested_order(pool: Pool, rows: Rows, dataset: str, purpose: str, seed: int) -> Rows:
    """The rows in the order in which subsets of any size take them."""
    prefix = f"{dataset}/{purpose}/{seed}/"
    keys = np.array(
        [hashlib.sha256((prefix + pool.digests[row]).encode()).hexdigest() for row in rows]
    )
    names = np.array([pool.names[row] for row in rows])
    labels = pool.labels[rows]
    by_class = np.lexsort((names, keys, labels))
    sizes = np.bincount(labels, minlength=len(pool.classes))
    starts = np.cumsum(sizes) - sizes
    own = labels[by_class]
    ranks = np.arange(len(rows)) - starts[own]
    evenly = np.empty(len(rows))
    evenly[by_class] = (2 * ranks + 1) / (2 * sizes[own])
    ordered: Rows = rows[np.lexsort((names, keys, evenly))]
    return ordered


def _test_count(subset: "Subset", images: int, official: bool) -> int:
    from stages.core.amounts import images_of

    amount = subset.test
    if amount == "full" and not official:
        amount = TEST_SHARE_OF_A_POOL
    count = images_of(amount, images)
    if count is None:
        return images
    most = images if official else images - 1
    if count > most:
        kind = "in the official test set" if official else "in all, without an official test set"
        raise DataError(
            f"`subset.test` is {subset.test}, but the data set has "
            f"{counted(images, 'image')} {kind}. Give at most {most}, a share such as 0.2, or full."
        )
    return count


def _without_copies(pool: Pool, rows: Rows, test: Rows) -> tuple[Rows, int, int]:
    """The rows without those in the test set and without second copies, and how many of each."""
    in_test = {pool.digests[row] for row in test}
    apart = [row for row in rows.tolist() if pool.digests[row] not in in_test]
    first: dict[str, int] = {}
    for row in sorted(apart, key=lambda row: pool.names[row]):
        first.setdefault(pool.digests[row], row)
    kept = np.array(sorted(first.values()), np.int64)
    return kept, len(rows) - len(apart), len(apart) - len(kept)


def _train_and_val_counts(subset: "Subset", images: int, own_val: int) -> tuple[int, int]:
    """How many of the images train, from the front, and how many validate, from the end.

    Where `own_val` images are an official validation set, those validate.
    """
    from stages.core.amounts import images_of

    if own_val:
        val = subset.val if isinstance(subset.val, int) else own_val
        if val > own_val:
            raise DataError(
                f"`subset.val` is {val}, but the official validation set has "
                f"{counted(own_val, 'image')}. Give at most so many, or a share for all of them."
            )
        return _train_and_val_counts(subset.model_copy(update={"val": 0}), images, 0)[0], val
    val = images_of(subset.val, images) or 0
    if not isinstance(subset.val, int) and images > 1:
        val = max(1, val)  # a share is wished for, and a best epoch cannot be told without any
    train = images_of(subset.train, images)
    if train is None:
        train = images - val
    if train + val > images or train < 1:
        room = f"`subset.train` can be 1 to {images - val}, a share of the {images}, or full"
        raise DataError(
            f"`subset.train` is {subset.train} and `subset.val` is {subset.val}, but the data "
            f"set has {counted(images, 'image')} to train and validate with, copies left out. "
            + (f"Beside that validation {room}." if val < images else "Lower `subset.val`.")
        )
    return train, val


def conflicting_labels(pool: Pool) -> int:
    """How many image contents occur under more than one class."""
    pairs = set(zip(pool.digests, pool.labels.tolist(), strict=True))
    per_content = Counter(digest for digest, _ in pairs)
    return sum(count > 1 for count in per_content.values())


def indices_table(pool: Pool, selection: Selection) -> "pd.DataFrame":
    """A row per chosen image, in selection order: split, name, label, class, digest."""
    import pandas as pd

    parts = {"train": selection.train, "val": selection.val, "test": selection.test}
    rows = np.concatenate(list(parts.values()))
    labels = pool.labels[rows]
    return pd.DataFrame(
        {
            "split": [name for name, part in parts.items() for _ in part],
            "name": [pool.names[row] for row in rows],
            "label": labels,
            "class": [pool.classes[label] for label in labels],
            "digest": [pool.digests[row] for row in rows],
        }
    )


def class_counts(classes: Sequence[str], indices: "pd.DataFrame") -> "pd.DataFrame":
    """A row per class: class, train, val, test."""
    import pandas as pd

    columns = {
        split: np.bincount(indices["label"][indices["split"] == split], minlength=len(classes))
        for split in ("train", "val", "test")
    }
    return pd.DataFrame({"class": list(classes), **columns})
