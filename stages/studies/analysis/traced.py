"""Figures that know where they come from: on the page, hovering one names its cells.

Also how means and ranges are written in all tables of a study.
"""

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from stages.pages.formatting import number, rounded
from stages.studies.analysis.network_costs import log_span

WIDE = 0.3  # of a latency: a span from which its two ends lie unlike far from it


class Traced(str):
    """A text that knows which cells it was computed from; on the page they show on hovering."""

    __slots__ = ("cells",)
    cells: tuple[str, ...]

    def __new__(cls, text: str, cells: Iterable[str]) -> "Traced":
        """A text, and the names of the cells behind it."""
        made = super().__new__(cls, text)
        made.cells = tuple(cells)
        return made

    def __html__(self) -> str:
        return Markup(
            '<abbr title="runs: {}; their commands are under Repeat it">{}</abbr>'
        ).format(", ".join(self.cells), escape(str(self)))


def over(cells: pd.DataFrame, text: str) -> Traced:
    """A figure over several cells."""
    return Traced(text, cells["cell"])


def one(cell: "pd.Series[Any]", text: str) -> Traced:
    """A figure of one cell."""
    return Traced(text, [str(cell["cell"])])


def share_text(row: Any) -> str:
    """A mean of shares with half its interval, 51.6 ± 1.2 %, or with its ends where one is no
    share: 96.7 (88.7 to 100.0) %.
    """
    mean, half_width = row["mean"], row["high"] - row["mean"]
    if half_width > min(mean, 1 - mean):
        ends = max(0.0, mean - half_width), min(1.0, mean + half_width)
        return f"{100 * mean:.1f} ({100 * ends[0]:.1f} to {100 * ends[1]:.1f}) %"
    return f"{100 * mean:.1f} ± {100 * half_width:.1f} %"


def points_text(difference: float, half_width: float | None = None) -> str:
    """A difference of shares in points, without a sign where it rounds to none, and with half its
    interval where there is one.
    """
    points = round(100 * difference, 1)
    told = f"{points:+.1f}" if points else "0.0"
    return told if half_width is None or pd.isna(half_width) else f"{told} ± {100 * half_width:.1f}"


def mean_text(row: Any) -> str:
    """A mean of shares with half its interval and the number of runs: 51.6 ± 1.2 % (3)."""
    return f"{share_text(row)} ({int(row['runs'])})"


def latency_text(cell: "pd.Series[Any]") -> str:
    """A latency in ms with the span of its repeats, by which latencies are told apart, to the digit
    that they agree on. That is done in logarithms: of a wide span it is told how far it reaches.
    """
    median, span = (times(cell.get(key), 1) for key in ("latency_ms_p50", "latency_spread"))
    if median is None or not span:
        return number(median)
    if span > WIDE:
        reach = math.exp(log_span(span))
        ends = (median / reach, median * reach)
        return f"{rounded(median)} ({rounded(ends[0])} to {rounded(ends[1])})"
    half_width = median * span
    places = max(0, -math.floor(math.log10(min(half_width, median))))
    return f"{median:,.{places}f} ± {half_width:,.{places}f}"


def range_text(low: float, high: float, digits: int = 1) -> str:
    """Two shares as a range."""
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def times(value: Any, factor: float) -> float | None:
    """A product; None for what is unknown."""
    return None if value is None or pd.isna(value) else factor * float(value)


def ratio(value: Any, by: float | None) -> float | None:
    """A quotient; None for what is unknown."""
    return None if value is None or by is None or pd.isna(value) else value / by
