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
    chart,
    percent_axis,
)


def accuracy_bars(rows: pd.DataFrame, metric: str, chance: float) -> Figure:
    """A bar per `series`, best first: accuracy (mean) with its interval (low, high).

    `chance`, the score of one answer to every image, is a dotted line.
    """
    ordered = rows.sort_values("mean", ascending=False)
    drawn, axes = chart(height_in=1.2 + 0.3 * len(rows))
    places = range(len(ordered))
    axes.barh(places, ordered["mean"], height=0.7, color=BLUE, alpha=0.85)
    axes.errorbar(ordered["mean"], places,
                  xerr=[ordered["mean"] - ordered["low"], ordered["high"] - ordered["mean"]],
                  fmt="none", ecolor=INK, elinewidth=1, capsize=2.5)  # fmt: skip
    axes.axvline(chance, color=INK, lw=1.2, ls=":")
    axes.set_xlim(0, min(1.0, 1.15 * float(ordered["high"].max())))
    axes.set_ylim(len(ordered) - 0.45, -0.55)
    percent_axis(axes, "x")
    axes.set_xlabel(f"test {metric} with 95 % interval")
    axes.set_yticks(places, [str(name) for name in ordered["series"]])
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.grid(axis="y", visible=False)
    axes.set_title("Accuracy")
    return drawn


def speed_bars(rows: pd.DataFrame, speed: str, label: str) -> Figure:
    """A bar per `series`, in the order of `accuracy_bars`: the column `speed`."""
    ordered = rows.sort_values("mean", ascending=False)
    values = [None if pd.isna(value) else float(value) for value in ordered[speed]]
    drawn, axes = chart(height_in=1.2 + 0.3 * len(rows))
    draw_bars(axes, [str(name) for name in ordered["series"]], values, GREEN)
    axes.set_xlabel(label)
    axes.set_title("Speed")
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
    axes.set_xlim(0, 1.05 * float(ordered[["train", "test"]].to_numpy().max()))
    percent_axis(axes, "x")
    axes.set_xlabel(metric)
    axes.set_title("Training and test accuracy")
    drawn.legend(loc="outside lower left", ncols=2)
    return drawn
