"""Do probabilities mean what they say: reliability by bins of confidence, and its summary."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BINS = 15


def reliability(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> pd.DataFrame:
    """A row per filled bin of confidence (of 15 equal ones): confidence, accuracy, images.

    `confidence` [n] is the probability of the predicted class, in 0…1.
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"bin": bins, "confidence": confidence, "accuracy": correct.astype(float)})
    grouped = table.groupby("bin")
    rows = grouped[["confidence", "accuracy"]].mean()
    rows["images"] = grouped.size()
    return rows.reset_index(drop=True)


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """Mean distance of accuracy and confidence over the bins, weighted by images (Guo et al. 2017).

    `bins` comes from `reliability`; the result lies in 0…1.
    """
    gap = (bins["accuracy"] - bins["confidence"]).abs()
    return float((gap * bins["images"]).sum() / bins["images"].sum())
