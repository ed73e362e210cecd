"""The confusion matrix, each row divided by its sum, and the pairs confused most often."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.style import BLUE, INK, VERMILLION, chart, shortened

ANNOTATED = 20  # with more classes a figure in each cell can no longer be read
MOST_NAMES = 150
LONGEST = 24  # letters of a class name


def counts(table: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Images per actual (row) and predicted (column) class, int64 [classes, classes].

    `table` has the columns `label` and `predicted`, class names, one row per test image.
    """
    place = {name: i for i, name in enumerate(classes)}
    flat = table["label"].map(place) * len(classes) + table["predicted"].map(place)
    totals = np.bincount(flat.to_numpy(np.int64), minlength=len(classes) ** 2)
    return totals.reshape(len(classes), len(classes))


def most_confused(table: pd.DataFrame, pairs: int = 10) -> pd.DataFrame:
    """The most frequent mistakes: columns `label`, `predicted`, `images`, `share` of the label."""
    wrong = table[table["label"] != table["predicted"]]
    mistakes = wrong.groupby(["label", "predicted"], sort=True).size().rename("images")
    ranked = mistakes.reset_index().sort_values("images", ascending=False, kind="stable")
    of_class = ranked["label"].map(table["label"].value_counts())
    return ranked.assign(share=ranked["images"] / of_class).head(pairs).reset_index(drop=True)


def confusion_matrix(table: pd.DataFrame, classes: Sequence[str]) -> Figure:
    """The share of each actual class (row) that was predicted as each class (column).

    Correct predictions are blue, mistakes vermillion; colour grows with the square root of the
    share, so that rare mistakes show. Classes without test images have empty rows.
    """
    absolute = counts(table, classes)
    shares = absolute / np.maximum(absolute.sum(axis=1, keepdims=True), 1)
    few, pitch_in = len(classes) <= ANNOTATED, _pitch_in(len(classes))
    side = max(1.4 + pitch_in * len(classes), 3.2)
    drawn, axes = chart(side, side)
    axes.imshow(_coloured(shares), interpolation="none")
    if few:
        _annotate(axes, shares)
    _name(axes, classes, size=min(9.0, 72 * pitch_in * 0.78))
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return drawn


def _pitch_in(classes: int) -> float:
    """Side of a cell in inches: room for a figure, or at least for a name beside it."""
    return 0.42 if classes <= ANNOTATED else max(0.1, 8.4 / classes)


def _name(axes: Axes, classes: Sequence[str], size: float) -> None:
    """Class names along both sides, slanted where there is room; none beyond 150."""
    axes.tick_params(labelsize=size, labelcolor=INK, length=0)
    named = classes if len(classes) <= MOST_NAMES else []
    shown_names = [shortened(name, LONGEST) for name in named]
    axes.set_yticks(range(len(shown_names)), shown_names)
    axes.set_xticks(range(len(shown_names)), shown_names)
    short = max(map(len, shown_names), default=0) <= 3
    slanted = len(classes) <= ANNOTATED and not short
    for tick in axes.get_xticklabels():
        tick.set_rotation(45 if slanted else 0 if short else 90)
        tick.set_horizontalalignment("right" if slanted else "center")
        tick.set_rotation_mode("anchor" if slanted else "default")


def _coloured(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """RGBA [n, n, 4]: the colour says right or wrong, its opacity the share."""
    picture = np.empty((*shares.shape, 4))
    picture[..., :3] = to_rgb(VERMILLION)
    diagonal = np.arange(len(shares))
    picture[diagonal, diagonal, :3] = to_rgb(BLUE)
    picture[..., 3] = np.sqrt(shares) * 0.95
    return picture


def _annotate(axes: Axes, shares: NDArray[np.float64]) -> None:
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            dark = share > 0.45
            axes.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if dark else INK,
            )
