"""Refuses a draw in which a class would have no image to train or to test with, and says why."""

from collections import Counter

import numpy as np

from stages.core.counts import counted, first_few
from stages.core.errors import DataError
from stages.datasets.pool import Pool, Rows

NAMED = 10  # classes in a message


def refuse_single_images(pool: Pool) -> None:
    """Raise DataError when a class without an official test set has one image, copies aside."""
    contents = set(zip(pool.labels.tolist(), pool.digests, strict=True))
    counts = Counter(label for label, _ in contents)
    labels = range(len(pool.classes))
    if none := [pool.classes[label] for label in labels if not counts[label]]:
        raise DataError(
            f"No image of the class {first_few(none, NAMED)} can be read. Mend its images, add "
            "some, or remove the class."
        )
    if single := [label for label in labels if counts[label] < 2]:
        raise DataError(
            "There is one image alone, copies aside, of the class "
            f"{first_few((pool.classes[label] for label in single), NAMED)}, and without an "
            "official test set one must test and another train. Add images or remove the class."
        )


def refuse_empty_classes(pool: Pool, order: Rows, count: int, split: str) -> None:
    """Raise DataError when a class has no image among the first `count` of `order`."""
    present, first = np.unique(pool.labels[order], return_index=True)
    absent = sorted(set(range(len(pool.classes))) - set(present.tolist()))
    late = present[first >= count].tolist()
    if not absent and not late:
        return
    named = first_few((pool.classes[label] for label in (absent or late)), NAMED)
    raise DataError(
        f"`subset.{split}` is {counted(count, 'image')}, and none is of the class {named}. "
        + (
            _why_absent(pool, absent, split)
            if absent
            else f"Every class has one from {first.max() + 1} images on: set `subset.{split}` to "
            "so many or more, or add images."
        )
    )


def _why_absent(pool: Pool, absent: list[int], split: str) -> str:
    """Copies of images of other classes, where that is the reason, else too few images."""
    labels: dict[str, set[int]] = {}
    for digest, label in zip(pool.digests, pool.labels.tolist(), strict=True):
        labels.setdefault(digest, set()).add(label)
    own = [found for found in labels.values() if found & set(absent)]
    if own and all(found - set(absent) for found in own):
        others = set().union(*own) - set(absent)
        return (
            "All of its images are copies, byte for byte, of images of the class "
            f"{first_few((pool.classes[label] for label in sorted(others)), NAMED)}: a copy is "
            "used once. Remove one of the two from each pair, or give the class images of its own."
        )
    return f"The data set has too few images of it to {split} with: add some or remove the class."
