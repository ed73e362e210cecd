"""Curves of a study: accuracy against the number of training images, and losses by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from stages.charts.style import (
    LINES,
    MUTED,
    SERIES,
    WIDTH_IN,
    chart,
    figure,
    percent_axis,
    whole_number_axis,
)

MARKERS = "osD^vPX*"
ASIDE = 0.04  # of the axis, over which points at one size are spread so that all are seen
OUTLIER = 20  # times the median, from which on a loss would flatten all others
Band = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def look(place: int) -> dict[str, Any]:
    """Colour, line and marker of series number `place`: no two alike among 24."""
    return {
        "color": SERIES[place % len(SERIES)],
        "linestyle": LINES[(place + place // len(SERIES)) % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
    }


def accuracy_by_size(
    summary: pd.DataFrame, bands: Mapping[str, Band], label: str, chance: float
) -> Figure:
    """Mean accuracy by `train_images`, a line per `series`, with 95 % intervals.

    `chance`, the score of one answer to every image, is a dotted line.

    `summary` has the columns series, train_images, mean, low, high; `bands` holds fitted curves as
    (images, accuracy, low, high) and is drawn thin behind the points.
    """
    count = summary["series"].nunique()
    drawn, axes = chart(height_in=2.9 + 0.21 * math.ceil(count / 2))  # with a legend of two columns
    span = math.log(summary["train_images"].max() / summary["train_images"].min()) or 1.0
    for place, (name, rows) in enumerate(summary.groupby("series", sort=False)):
        style = look(place)
        ordered = rows.sort_values("train_images")
        errors = [ordered["mean"] - ordered["low"], ordered["high"] - ordered["mean"]]
        line = {**style, "linestyle": "none" if name in bands else style["linestyle"]}
        beside = math.exp(ASIDE * span * ((place + 0.5) / count - 0.5))
        axes.errorbar(ordered["train_images"] * beside, ordered["mean"], yerr=errors,
                      capsize=2, elinewidth=1, label=str(name), **line)  # fmt: skip
        if name in bands:
            images, middle, low, high = bands[str(name)]
            axes.plot(images, middle, color=style["color"], linestyle=style["linestyle"], lw=1.2)
            axes.fill_between(images, low, high, color=style["color"], alpha=0.12, lw=0)
    axes.axhline(chance, color=MUTED, lw=1.0, ls=":", zorder=0)
    _log_images(axes, sorted(summary["train_images"].unique()))
    percent_axis(axes, "y")
    axes.set_ylabel(f"test {label}")
    axes.set_title("Accuracy against data size")
    drawn.legend(loc="outside lower left", ncols=2, columnspacing=1.2)
    return drawn


def loss_by_epoch(histories: pd.DataFrame) -> Figure:
    """Mean loss over seeds by epoch, a line per `series`: training left, validation right."""
    drawn = figure(2 * WIDTH_IN, 3.4)
    pair = drawn.subplots(1, 2, sharey=True)
    titles = {"train": "Training loss", "val": "Validation loss"}
    for axes, (split, title) in zip(pair, titles.items(), strict=True):
        for place, (name, rows) in enumerate(histories.groupby("series", sort=False)):
            mean = rows.groupby("epoch")[f"{split}_loss"].mean().dropna()
            axes.plot(mean.index, mean, label=str(name), **look(place))
        axes.set_title(title)
        axes.set_xlabel("epoch")
        whole_number_axis(axes)
    pair[0].set_ylabel("loss, mean per image")
    losses = histories[[f"{split}_loss" for split in titles]].to_numpy(float)
    if np.nanmax(losses, initial=1.0) > OUTLIER * max(np.nanmedian(losses), 1e-9):
        pair[0].set_yscale("log")
        pair[0].set_ylabel("loss, mean per image (logarithmic)")
    handles, labels = pair[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower left", ncols=min(4, max(1, len(labels))))
    return drawn


def _log_images(axes: Axes, sizes: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(list(sizes), [f"{size:,.0f}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training images")
    if len(sizes) == 1:
        axes.set_xlim(sizes[0] * 0.8, sizes[0] * 1.25)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
