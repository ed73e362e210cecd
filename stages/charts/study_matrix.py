"""Accuracy per class (columns) of every model or recipe (rows), as a heat map with figures."""

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from stages.charts.style import BLUE, INK, WIDTH_IN, chart

WIDE = 6  # classes, beyond which the map takes the page's whole width
LEGIBLE = 20  # classes, up to which each field carries its figure


def class_heat_map(table: pd.DataFrame) -> Figure:
    """`table` has a row per series and a column per class, shares in 0…1.

    Opacity grows with accuracy, so the map reads the same in grey and on a dark page.
    """
    rows, columns = table.shape
    least = 2 * WIDTH_IN if columns > WIDE else 0.0
    with_figures = 2.2 + 0.5 * columns if columns <= LEGIBLE else 0.0
    drawn, axes = chart(max(least, with_figures), 1.3 + 0.34 * rows)
    values = table.to_numpy(float)
    picture = np.empty((rows, columns, 4))
    picture[..., :3] = to_rgb(BLUE)
    picture[..., 3] = np.nan_to_num(values) * 0.95
    axes.imshow(picture, interpolation="none", aspect="auto")
    if columns <= LEGIBLE:
        for (row, column), value in np.ndenumerate(values):
            shown = "" if np.isnan(value) else f"{100 * value:.0f}"
            axes.text(column, row, shown, ha="center", va="center", fontsize=8.5,
                      color="white" if value > 0.55 else INK)  # fmt: skip
    axes.set_yticks(range(rows), [str(name) for name in table.index])
    names = [str(name) for name in table.columns] if columns <= 2 * LEGIBLE else []
    axes.set_xticks(range(len(names)), names)
    axes.tick_params(labelcolor=INK, length=0, labelsize=8.5)
    for tick in axes.get_xticklabels():
        tick.set_rotation(40)
        tick.set_horizontalalignment("right")
        tick.set_rotation_mode("anchor")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_title("Accuracy per class, in %")
    return drawn
