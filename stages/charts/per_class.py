"""Accuracy of each class with its interval, as horizontal bars, worst class on top."""

import pandas as pd
from matplotlib.figure import Figure

from stages.charts.style import BLUE, INK, MUTED, VERMILLION, chart, percent_axis, shortened

LONGEST = 32  # letters of a class name beside its bar


def per_class_bars(table: pd.DataFrame, overall: float | None = None) -> Figure:
    """Bars from a table with the columns `class`, `top1`, `low`, `high` (shares) and `images`.

    Rows whose `top1` is empty are left out. `overall` draws the accuracy over all images.
    """
    rows = table.dropna(subset=["top1"]).sort_values(["top1", "class"], kind="stable")
    crowded = len(rows) > 30
    drawn, axes = chart(height_in=1.0 + len(rows) * (0.155 if crowded else 0.23))
    places = list(range(len(rows)))
    axes.barh(places, rows["top1"], height=0.72, color=BLUE, alpha=0.85)
    axes.errorbar(
        rows["top1"],
        places,
        xerr=[rows["top1"] - rows["low"], rows["high"] - rows["top1"]],
        fmt="none",
        ecolor=INK,
        elinewidth=1,
        capsize=1.5 if crowded else 2.5,
    )
    axes.set_yticks(places, [shortened(str(name), LONGEST) for name in rows["class"]])
    axes.tick_params(axis="y", labelcolor=INK, labelsize=7 if crowded else 9, length=0)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if overall is not None:
        axes.axvline(overall, color=VERMILLION, linewidth=1.2, linestyle=(0, (4, 2)))
        axes.text(
            overall,
            1.0,
            f" all {100 * overall:.1f} %",
            color=MUTED,
            fontsize=8,
            ha="right" if overall > 0.75 else "left",
            va="bottom",
            transform=axes.get_xaxis_transform(),
        )
    axes.set_xlim(0, 1)
    axes.grid(axis="y", visible=False)
    percent_axis(axes, "x")
    axes.set_xlabel("top-1 with 95 % interval")
    return drawn
