"""Plain horizontal bars with the figure written at each, for costs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.charts.style import BLUE, INK, MUTED, chart


def bars(
    names: Sequence[str],
    values: Sequence[float | None],
    *,
    label: str,
    title: str = "",
    colour: str = BLUE,
    notes: Sequence[str | None] | None = None,
) -> Figure:
    """A bar per name, from the top; a value that is None shows its note in place of a bar."""
    drawn, axes = chart(height_in=(1.05 if title else 0.75) + 0.27 * len(names))
    draw_bars(axes, names, values, colour, notes)
    axes.set_xlabel(label)
    axes.set_title(title)
    return drawn


def draw_bars(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float | None],
    colour: str = BLUE,
    notes: Sequence[str | None] | None = None,
) -> None:
    """Bars in given axes, named at the left, with their values at the end."""
    places = range(len(names))
    axes.barh(places, [value or 0 for value in values], height=0.7, color=colour, alpha=0.85)
    axes.set_yticks(places, list(names))
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.grid(axis="y", visible=False)
    largest = max((value for value in values if value), default=1.0)
    axes.set_xlim(0, 1.18 * largest)  # room for the figures
    for place, value in zip(places, values, strict=True):
        note = notes[place] if notes else None
        text = figure_text(value) if value is not None else (note or "not measured")
        axes.text((value or 0) + 0.012 * largest, place, text, va="center", fontsize=8,
                  color=INK if value is not None else MUTED)  # fmt: skip


def figure_text(value: float) -> str:
    """Three significant digits, thousands grouped: 0.0123, 4.56, 12,300."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
