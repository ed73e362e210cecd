"""Who was taken for whom, image by image: the table of answers, and the part of it for git.

Class names stand for numbers, so that DVC draws the confusion matrix from it and a comparison needs
nothing else.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

IN_GIT = 20_000
"""Rows of plots/predictions.csv at most: about 0.7 MB of text, and 3 MB of a page of plots. A
difference of half a point can be told on as many. All rows are in the DVC cache."""

AT_ONCE = 4096  # rows in double precision; with a thousand classes all at once take gigabytes


def answered(logits: Tensor, labels: Tensor) -> pd.DataFrame:
    """Columns label, predicted (class numbers), confidence, loss (float64), a row per image.

    `logits` is float32 [n, k], `labels` int64 [n]; computed in double precision.
    """
    parts = []
    for some, of in zip(logits.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
        confidence, predicted = F.softmax(some.double(), dim=1).max(dim=1)
        losses = F.cross_entropy(some.double(), of, reduction="none")
        parts.append((of, predicted, confidence, losses))
    names = ("label", "predicted", "confidence", "loss")
    whole = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
    return pd.DataFrame(dict(zip(names, whole, strict=True)))


def in_words(
    names: Sequence[str], heads: Mapping[str, Sequence[str]], found: Sequence[pd.DataFrame]
) -> pd.DataFrame:
    """A row per image: name, label, predicted, confidence, loss; numbers become class names.

    `found` is what `answered` gives for each head, `heads` the names of its answers by metric.
    Columns of a second head carry its name in front: turn_label, turn_predicted, …
    """
    table = pd.DataFrame({"name": without_split(names)})
    for place, ((metric, answers), head) in enumerate(zip(heads.items(), found, strict=True)):
        named = np.asarray(answers, dtype=object)
        words = head.assign(label=named[head["label"]], predicted=named[head["predicted"]])
        table = table.join(words.add_prefix(metric.removesuffix("top1") if place else ""))
    return table


def predictions_for_git(table: pd.DataFrame) -> pd.DataFrame:
    """The first rows without losses, four digits of confidence each.

    Test images come in an order that spreads the classes evenly and is the same on every machine,
    so the first ones hold every class in its share, and are inside a larger selection.
    """
    kept = [name for name in table if not str(name).endswith("loss")]
    return table[kept].head(IN_GIT).round(4)


def without_split(names: Sequence[str]) -> list[str]:
    """Names of test images without the `test/` that all have in front, where all have it."""
    if all(name.startswith("test/") for name in names):
        return [name.removeprefix("test/") for name in names]
    return list(names)
