"""Loss and accuracy per epoch, training and validation on one chart, the best epoch marked."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.charts.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    VERMILLION,
    chart,
    metric_label,
    percent_axis,
    whole_number_axis,
)

# Line styles differ as well as colours: the chart must survive a black-and-white print.
LOOKS = {"train": ("training", BLUE, (0, (4, 1.5))), "val": ("validation", VERMILLION, "-")}


def loss_curves(history: pd.DataFrame, best_epoch: int | None = None) -> Figure:
    """Mean loss per epoch, from the columns `epoch`, `train_loss` and `val_loss`.

    A column that is absent or empty is left out.
    """
    drawn, axes = chart()
    _lines(axes, history, "loss", best_epoch)
    axes.set_title("Loss")
    axes.set_ylabel("loss, mean per image")
    return drawn


def accuracy_curves(
    history: pd.DataFrame, best_epoch: int | None = None, metric: str = "top1"
) -> Figure:
    """Accuracy per epoch, from the columns `epoch`, `train_<metric>` and `val_<metric>`."""
    drawn, axes = chart()
    _lines(axes, history, metric, best_epoch)
    axes.set_title(f"Accuracy ({metric_label(metric)})")
    percent_axis(axes, "y")
    return drawn


def learning_rate_curve(history: pd.DataFrame) -> Figure:
    """Learning rate at the end of each epoch, from the columns `epoch` and `lr`."""
    drawn, axes = chart(height_in=2.4)
    axes.plot(history["epoch"], history["lr"], color=GREEN, marker=_marker(history))
    axes.set_title("Learning rate")
    axes.set_xlabel("epoch")
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    whole_number_axis(axes)
    return drawn


def _lines(axes: Axes, history: pd.DataFrame, metric: str, best_epoch: int | None) -> None:
    shown = [f"{split}_{metric}" for split in LOOKS]
    shown = [name for name in shown if name in history and history[name].notna().any()]
    for name in shown:
        label, colour, line = LOOKS[name.removesuffix(f"_{metric}")]
        axes.plot(
            history["epoch"],
            history[name],
            color=colour,
            linestyle=line,
            marker=_marker(history),
            label=label,
        )
    if shown and best_epoch is not None:
        _mark_best(axes, history, shown[-1], best_epoch)
    axes.set_xlabel("epoch")
    whole_number_axis(axes)
    axes.legend(loc="best")


def _mark_best(axes: Axes, history: pd.DataFrame, name: str, best_epoch: int) -> None:
    """A ring on the curve at the best epoch, and a thin line down to the axis."""
    best = history.loc[history["epoch"] == best_epoch, name].dropna()
    if best.empty:
        return
    axes.axvline(best_epoch, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    axes.plot(
        best_epoch,
        best.iloc[0],
        "o",
        markersize=9,
        markerfacecolor="none",
        markeredgecolor=INK,
        markeredgewidth=1.3,
        label=f"kept: epoch {best_epoch}",
    )


def _marker(history: pd.DataFrame) -> str:
    """Points for short histories: a single epoch has no line to see."""
    return "o" if len(history) <= 12 else ""
