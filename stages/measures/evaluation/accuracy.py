"""Accuracy with its interval: overall and per class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest


def wilson_interval(correct: int, images: int) -> tuple[float, float]:
    """The 95 % score interval of a share of `images` > 0 (Wilson 1927), as shares in 0…1."""
    interval = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def per_class(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str]
) -> pd.DataFrame:
    """A row per class: class, top1, low, high (95 %), images; null where a class has no image."""
    rows = []
    for index, name in enumerate(classes):
        of_class = labels == index
        images = int(of_class.sum())
        correct = int((predicted[of_class] == index).sum())
        low, high = wilson_interval(correct, images) if images else (None, None)
        top1 = correct / images if images else None
        rows.append({"class": name, "top1": top1, "low": low, "high": high, "images": images})
    return pd.DataFrame(rows)
