"""How far two runs drift apart as training goes on, with what a single ULP does beside it."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.charts.style import BLUE, VERMILLION, chart, shortened

Line = tuple[Sequence[int], Sequence[float]]


def growth_curves(distance: Line, perturbed: Line | None, name: str) -> Figure:
    """Distance of the weights relative to their norm against the step, on logarithmic axes.

    `distance` and `perturbed` are (steps, distances); steps without any distance are left out, for
    zero has no place on a logarithmic axis.
    """
    drawn, axes = chart()
    _line(axes, distance, shortened(name, 48), BLUE, "-")
    if perturbed is not None:
        _line(axes, perturbed, "perturbed by one ULP", VERMILLION, (0, (4, 1.5)))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("relative distance of the weights")
    axes.set_title("Distance of the weights")
    if perturbed is not None and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left")
    return drawn


def _line(axes: Axes, line: Line, label: str, colour: str, style: object) -> None:
    shown = [(step, value) for step, value in zip(*line, strict=True) if value > 0]
    if shown:
        steps, values = zip(*shown, strict=True)
        axes.plot(steps, values, label=label, color=colour, linestyle=style, marker="o")
