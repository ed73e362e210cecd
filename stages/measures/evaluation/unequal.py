"""Figures that count every class alike, for test images of unequal classes.

Where one class has most of the images, accuracy says little of the others. Balanced accuracy is
the mean of the classes' accuracies (Brodersen et al. 2010), macro-F1 the mean of their F1 scores.
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EVEN = "test_balanced_accuracy"
BALANCED = {EVEN: "balanced accuracy", "test_macro_f1": "macro-F1"}
"""The figures by key, as shares in 0…1, and what they are called."""
UNEQUAL = 1.2  # the largest class beside the smallest; below it the figures are near accuracy


def are_unequal(images: NDArray[np.int64]) -> bool:
    """Whether images per class [classes] differ by a fifth, and by more than rounding makes them.

    A class without images is unequal to any that has two.
    """
    most, fewest = int(images.max()), int(images.min())
    return most > fewest + 1 and most > UNEQUAL * fewest


def balanced_low(table: pd.DataFrame) -> float:
    """The lower end of the 95 % interval of balanced accuracy, from a table of `per_class`.

    Of a mean of shares by how far each one's own interval reaches down, added in quadrature (Zou
    and Donner 2008, Statistics in Medicine 27, p. 1693: the method of variance estimates recovery).
    """
    shown = table[table["images"] > 0].astype({"top1": float, "low": float})
    reach = math.hypot(*(shown["top1"] - shown["low"]))
    return float(shown["top1"].mean()) - reach / len(shown)


def balanced_figures(actual: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    """The figures of BALANCED for class numbers [n], over the classes that have test images."""
    from sklearn.metrics import f1_score, recall_score

    found = {"labels": np.unique(actual), "average": "macro", "zero_division": 0}
    scores = (score(actual, predicted, **found) for score in (recall_score, f1_score))
    return dict(zip(BALANCED, map(float, scores), strict=True))
