"""What accuracy costs: models as points, and the front of those that no other beats at both."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from stages.charts.bars import figure_text
from stages.charts.labels import label_points
from stages.charts.style import BLUE, GRID, MUTED, VERMILLION, chart, percent_axis


def cost_against_accuracy(
    points: pd.DataFrame, cost: str, label: str, title: str, chance: float
) -> Figure:
    """Accuracy against a cost on a logarithmic axis; `chance` is a dotted line.

    `points` has the columns series, mean, low, high, the column `cost`, and `front` (bool), which
    are joined by a line: none of them is beaten in both.
    """
    drawn, axes = chart(height_in=3.5)
    front = points[points["front"]].sort_values(cost)
    axes.plot(front[cost], front["mean"], color=VERMILLION, lw=1.2, ls=(0, (4, 2)), zorder=1)
    for _, row in points.iterrows():
        on_front = bool(row["front"])
        axes.errorbar(row[cost], row["mean"],
                      yerr=[[row["mean"] - row["low"]], [row["high"] - row["mean"]]],
                      fmt="D" if on_front else "o", color=VERMILLION if on_front else BLUE,
                      ecolor=GRID, elinewidth=1.2, markersize=6)  # fmt: skip
    axes.axhline(chance, color=MUTED, lw=1.0, ls=":", zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: figure_text(value)))
    axes.set_xlim(points[cost].min() / 1.4, points[cost].max() * 1.4)
    percent_axis(axes, "y")
    axes.set_xlabel(label)
    axes.set_title(title)
    lines = [front[[cost, "mean"]].to_numpy(float)]
    lines += [np.array([[row[cost], row["low"]], [row[cost], row["high"]]])
              for _, row in points.iterrows()]  # fmt: skip
    names = [str(name) for name in points["series"]]
    label_points(drawn, axes, names, list(points[cost]), list(points["mean"]), lines)
    return drawn
