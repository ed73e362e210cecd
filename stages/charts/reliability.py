"""The reliability diagram: does a confidence of 80 % mean right in 80 % of the cases?"""

import pandas as pd
from matplotlib.figure import Figure

from stages.charts.style import AMBER, BLUE, INK, MUTED, WIDTH_IN, figure, percent_axis

TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def reliability_diagram(table: pd.DataFrame, ece: float | None = None) -> Figure:
    """Accuracy against confidence per bin, and below it the images per bin.

    `table` has the columns `confidence` (mean in the bin), `accuracy` and `images`; empty bins
    have none. `ece` is the expected calibration error (Naeini et al., AAAI 2015), a share.
    """
    bins = table[table["images"] > 0]
    drawn = figure(WIDTH_IN, 4.2)
    upper, lower = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label="perfect")
    upper.vlines(
        bins["confidence"],
        bins[["confidence", "accuracy"]].min(axis=1),
        bins[["confidence", "accuracy"]].max(axis=1),
        color=AMBER,
        linewidth=4,
        alpha=0.8,
        label="gap",
    )
    upper.plot(bins["confidence"], bins["accuracy"], color=BLUE, linewidth=0.9)
    # A bin of few images says little: its point is small.
    areas = 8 + 60 * (bins["images"] / bins["images"].max()) ** 0.5
    upper.scatter(bins["confidence"], bins["accuracy"], areas, BLUE, zorder=3, label="measured")
    upper.set_ylim(0, 1.03)  # room for points at the very end
    upper.set_yticks(TICKS)
    upper.set_ylabel("accuracy")
    upper.legend(loc="upper left")
    if ece is not None:
        upper.text(0.98, 0.05, f"ECE {100 * ece:.1f} %", color=INK, fontsize=11, ha="right",
                   transform=upper.transAxes)  # fmt: skip
    lower.bar(bins["confidence"], bins["images"], width=0.03, color=BLUE, alpha=0.85)
    lower.set_ylabel("images")
    lower.set_xlabel("confidence of the prediction")
    lower.set_xlim(0, 1.03)
    lower.set_xticks(TICKS)
    for axes, which in ((upper, "y"), (lower, "x")):
        percent_axis(axes, which)
    return drawn
