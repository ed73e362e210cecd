"""The test images with the largest loss, as pictures with what they are and were taken for."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.mosaic import as_pictures, blank
from stages.charts.style import INK, MUTED, VERMILLION, figure, shortened

COLUMNS = 6
LONGEST = 14  # letters of a class name under a picture


def hardest_rows(predictions: pd.DataFrame, count: int = 18) -> pd.DataFrame:
    """The rows of `predictions` (a `loss` each) with the largest loss, worst first.

    The index of `predictions` is kept: it is the image's place in the test split.
    """
    return predictions.sort_values("loss", ascending=False, kind="stable").head(count)


def hardest_images(images: NDArray[np.uint8], rows: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """Pictures `images` uint8 [n, 3, h, w] of the n `rows` (label, predicted, confidence).

    `label` and `predicted` are indices into `classes`.
    """
    lines = math.ceil(len(rows) / COLUMNS)
    drawn = figure(1.45 * COLUMNS, 0.1 + 1.8 * lines)
    grid = drawn.subplots(lines, COLUMNS, squeeze=False)
    for axes in grid.flat:
        blank(axes)
        axes.set_visible(False)
    pictures = as_pictures(images)
    for axes, picture, (_, row) in zip(grid.flat, pictures, rows.iterrows(), strict=False):
        axes.set_visible(True)
        axes.imshow(picture, interpolation="nearest")
        wrong = row["label"] != row["predicted"]
        label, predicted = (
            shortened(classes[int(row[column])], LONGEST) for column in ("label", "predicted")
        )
        axes.set_title(label, fontsize=9, color=INK, loc="center", pad=3)
        axes.set_xlabel(
            f"{predicted}, {100 * row['confidence']:.0f} %",
            fontsize=8.5,
            color=VERMILLION if wrong else MUTED,
            labelpad=3,
        )
    return drawn
