"""Each backbone's accuracy on two machines, one mark above the other."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from stages.charts.style import BLUE, INK, VERMILLION, chart, percent_axis

MeanAndHalf = tuple[float, float]


def accuracy_by_machine(
    rows: Sequence[tuple[str, MeanAndHalf, MeanAndHalf]],
    machines: tuple[str, str],
    metric: str,
    title: str,
) -> Figure:
    """A line per row (name, first machine's mean and half interval, second's), best first."""
    ordered = sorted(rows, key=lambda row: -row[1][0])
    drawn, axes = chart(height_in=1.5 + 0.35 * len(ordered))
    looks = ((BLUE, "o", "full", -0.13), (VERMILLION, "s", "none", 0.13))
    for side, (colour, marker, fill, shift) in enumerate(looks):
        means = [row[1] if side == 0 else row[2] for row in ordered]
        axes.errorbar(
            [mean for mean, _ in means], [place + shift for place in range(len(ordered))],
            xerr=[half for _, half in means], fmt=marker, color=colour, fillstyle=fill,
            markersize=5, elinewidth=1.2, capsize=2.5, label=machines[side],
        )  # fmt: skip
    axes.set_yticks(range(len(ordered)), [row[0] for row in ordered])
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.set_ylim(len(ordered) - 0.4, -0.6)
    percent_axis(axes, "x")
    axes.set_xlabel(f"test {metric} with 95 % interval")
    axes.set_title(title)
    drawn.legend(loc="outside lower left", ncols=2)
    return drawn
