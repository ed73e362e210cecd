"""Figures that know where they come from: on the page, hovering one names its cells.

Also how means and ranges are written in all tables of a study.
"""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from stages.studies.table import View


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
            '<abbr title="cells: {}; their commands are under Repeat it">{}</abbr>'
        ).format(", ".join(self.cells), escape(str(self)))


def over(cells: pd.DataFrame, text: str) -> Traced:
    """A figure over several cells."""
    return Traced(text, cells["cell"])


def one(cell: "pd.Series[Any]", text: str) -> Traced:
    """A figure of one cell."""
    return Traced(text, [str(cell["cell"])])


def cells_of(view: View, name: object, images: int | None = None) -> pd.DataFrame:
    """The finished cells of a series, of one size or of all."""
    cells = view.cells[view.cells["series"] == name]
    return cells if images is None else cells[cells["train_images"] == images]


def mean_text(row: Any) -> str:
    """A mean of shares with half its interval and the number of runs: 51.6 ± 1.2 % (3)."""
    reach = 100 * (row["high"] - row["mean"])
    return f"{100 * row['mean']:.1f} ± {reach:.1f} % ({int(row['runs'])})"


def range_text(low: float, high: float) -> str:
    """Two shares as a range."""
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def times(value: Any, factor: float) -> float | None:
    """A product; None for what is unknown."""
    return None if value is None or pd.isna(value) else factor * float(value)


def ratio(value: Any, by: float | None) -> float | None:
    """A quotient; None for what is unknown."""
    return None if value is None or by is None or pd.isna(value) else value / by
