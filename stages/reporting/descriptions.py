"""What the charts and pictures of a run show, in words, for readers who cannot see them."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from stages.charts.style import metric_label
from stages.core.counts import counted
from stages.pages.formatting import large, number, percent

PICTURES = {
    "hardest": "Grid of the test images with the largest loss, each with its class above it and "
    "the predicted class with its confidence below it",
    "activations": "Test images in a column; beside each, grids of the feature maps that layers of "
    "the network make of it",
    "filters": "Grid of the weights of the first layer's filters, drawn as small images",
    "grad_cam": "A row of test images, and below each the same image in grey under a heat map of "
    "the evidence for the predicted class",
    "augmentation": "Grid of training images: the first row as they are, each further row after "
    "one augmentation",
}


def accuracy_by_epoch(history: pd.DataFrame, metric: str) -> str:
    """Where the curves of an accuracy begin and end."""
    return (
        f"Line chart of {metric_label(metric)} accuracy by epoch: {_ends(history, metric, percent)}"
    )


def loss_by_epoch(history: pd.DataFrame) -> str:
    """Where the curves of the loss begin and end."""
    return f"Line chart of the loss by epoch: {_ends(history, 'loss', number)}"


def rate_by_epoch(history: pd.DataFrame) -> str:
    """Where the learning rate begins and ends."""
    first, last = history["lr"].iloc[0], history["lr"].iloc[-1]
    ends = f"{first:.3g}" if len(history) == 1 else f"from {first:.3g} to {last:.3g}"
    return f"Line chart of the learning rate at the end of each epoch, {ends}"


def per_class(table: pd.DataFrame) -> str:
    """The worst and the best class of those that were tested."""
    ordered = table.dropna(subset="top1").sort_values("top1", kind="stable")
    worst, best = ordered.iloc[0], ordered.iloc[-1]
    return (
        f"Bar chart of the accuracy of {counted(len(table), 'class', 'classes')} with 95 % "
        f"intervals, from {percent(worst['top1'])} ({worst['class']}) to {percent(best['top1'])} "
        f"({best['class']})"
    )


def confusion(classes: int, mistakes: pd.DataFrame) -> str:
    """The size of the matrix and the most frequent mistake."""
    shown = f"Confusion matrix of {counted(classes, 'class', 'classes')}, a row per actual class"
    if mistakes.empty:
        return f"{shown}; no mistakes"
    first = mistakes.iloc[0]
    return (
        f"{shown}; the most frequent mistake takes {first['label']} for {first['predicted']} "
        f"({percent(first['share'])} of the class)"
    )


def reliability(bins: pd.DataFrame, ece: float | None) -> str:
    """How many bins there are, and the calibration error."""
    error = "" if ece is None else f"; expected calibration error {percent(ece)}"
    return (
        f"Reliability diagram: accuracy against confidence in {counted(len(bins), 'bin')}, and how "
        f"many images each holds{error}"
    )


def latency(rows: pd.DataFrame) -> str:
    """The fastest and the slowest variant."""
    smallest = rows[rows["batch_size"] == rows["batch_size"].min()]
    extremes = _extremes(smallest, "latency_ms_p50", "ms")
    return f"Bar chart of the median latency by variant: {extremes}"


def throughput(rows: pd.DataFrame) -> str:
    """The fastest and the slowest variant."""
    extremes = _extremes(rows, "images_per_second", "images/s")
    return f"Line chart of inference throughput by batch size, a line per variant: {extremes}"


def memory(profile: dict[str, Any]) -> str:
    """The three amounts."""
    keys = {
        "weights": "weights_mb",
        "inference": "peak_memory_mb",
        "training": "training_peak_memory_mb",
    }
    told = [
        f"{name} {number(profile[key])} MB" if profile.get(key) is not None
        else f"{name} not measured"
        for name, key in keys.items()
    ]  # fmt: skip
    return f"Bar chart of memory: {', '.join(told)}"


def blocks(table: pd.DataFrame) -> str:
    """The costliest block by MACs."""
    most = table.sort_values("macs_g", kind="stable").iloc[-1]
    return (
        f"Bar chart of MACs and parameters of {counted(len(table), 'block')}; {most['block']} has "
        f"most MACs, {large(1e9 * most['macs_g'])}"
    )


def _ends(history: pd.DataFrame, metric: str, said: Callable[[float], str]) -> str:
    told = []
    for split, name in (("train", "training"), ("val", "validation")):
        values = history.get(f"{split}_{metric}", pd.Series(dtype=float)).dropna()
        if len(values) == 1:
            told.append(f"{name} {said(values.iloc[0])}")
        elif len(values):
            told.append(f"{name} from {said(values.iloc[0])} to {said(values.iloc[-1])}")
    return ", ".join(told) or "no values"


def _extremes(rows: pd.DataFrame, column: str, unit: str) -> str:
    timed = rows[(rows["mode"] == "inference") & rows[column].notna()].sort_values(column)
    if timed.empty:
        return "not measured"
    low, high = timed.iloc[0], timed.iloc[-1]
    told = [
        f"{row['variant']} at batch {row['batch_size']} {number(row[column])} {unit}"
        for row in ((low,) if len(timed) == 1 else (low, high))
    ]
    return " to ".join(told)
