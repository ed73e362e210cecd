"""Bars of a study: accuracy with intervals beside speed, and how far training is above test."""

import pandas as pd
from matplotlib.figure import Figure

from stages.charts.bars import draw_bars
from stages.charts.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    VERMILLION,
    WIDTH_IN,
    chart,
    figure,
    percent_axis,
)


def speed_and_accuracy(rows: pd.DataFrame, speed: str, label: str, metric: str) -> Figure:
    """Two panels with a bar per `series`: accuracy (mean, low, high) and the column `speed`."""
    drawn = figure(2 * WIDTH_IN, 1.2 + 0.34 * len(rows))
    left, right = drawn.subplots(1, 2, sharey=True)
    ordered = rows.sort_values("mean", ascending=False)
    names = [str(name) for name in ordered["series"]]
    places = range(len(names))
    left.barh(places, ordered["mean"], height=0.7, color=BLUE, alpha=0.85)
    left.errorbar(ordered["mean"], places,
                  xerr=[ordered["mean"] - ordered["low"], ordered["high"] - ordered["mean"]],
                  fmt="none", ecolor=INK, elinewidth=1, capsize=2.5)  # fmt: skip
    left.set_xlim(0, min(1.0, 1.15 * float(ordered["high"].max())))
    percent_axis(left, "x")
    left.set_xlabel(f"test {metric} with 95 % interval")
    values = [None if pd.isna(value) else float(value) for value in ordered[speed]]
    draw_bars(right, names, values, GREEN)
    left.set_yticks(places, names)
    left.tick_params(axis="y", labelcolor=INK, length=0)
    left.grid(axis="y", visible=False)
    right.tick_params(axis="y", labelleft=False)
    right.set_xlabel(label)
    left.set_title("Accuracy")
    right.set_title("Speed")
    return drawn


def overfitting(rows: pd.DataFrame, metric: str) -> Figure:
    """A line per `series` from its test accuracy (ring) to its training accuracy (dot)."""
    ordered = rows.sort_values("gap", ascending=False)
    drawn, axes = chart(height_in=1.5 + 0.3 * len(ordered))
    places = list(range(len(ordered)))
    axes.hlines(places, ordered["test"], ordered["train"], color=MUTED, lw=1.5)
    axes.plot(ordered["train"], places, "o", color=BLUE, label="training")
    axes.plot(ordered["test"], places, "o", color=VERMILLION, markerfacecolor="none",
              markeredgewidth=1.6, markersize=6, label="test")  # fmt: skip
    axes.set_yticks(places, [str(name) for name in ordered["series"]])
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    percent_axis(axes, "x")
    axes.set_xlabel(metric)
    axes.set_title("Training and test accuracy")
    drawn.legend(loc="outside lower left", ncols=2)
    return drawn
