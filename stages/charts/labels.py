"""Names beside points, placed so that they keep off one another, the points and the lines.

Each name in turn takes the place around its point that hides least; one that had to move away gets
a thin line to its point.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.style import INK, MUTED

SIZE = 8  # points
NEAR, FAR = 7, (16, 28, 42)  # points between a name and its own point
DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
Boxes = list[NDArray[np.float64]]


def label_points(
    drawn: Figure, axes: Axes, names: Sequence[str], x: Sequence[float], y: Sequence[float],
    lines: Sequence[NDArray[np.float64]] = (),
) -> None:  # fmt: skip
    """Write each name near its point (x, y). `lines` are polylines [n, 2] in data coordinates.

    Axis limits and scales must be set already: the places are found in pixels.
    """
    FigureCanvasAgg(drawn)  # measures text
    drawn.draw_without_rendering()
    frame = np.asarray(axes.get_window_extent().extents)
    places = axes.transData.transform(np.column_stack([x, y]))
    hidden = np.vstack([places, *(_dotted(axes.transData.transform(line)) for line in lines)])
    scale = drawn.dpi / 72
    taken: Boxes = [np.array([*place - 4 * scale, *place + 4 * scale]) for place in places]
    for name, place in sorted(zip(names, places, strict=True), key=lambda one: -one[1][1]):
        text = axes.text(0, 0, name, fontsize=SIZE, transform=axes.transAxes)
        extent = text.get_window_extent()
        text.remove()
        choices = _choices(place, extent.width, extent.height, scale)
        costs = [_cost(box, far, frame, hidden, taken) for box, far in choices]
        box, far = choices[int(np.argmin(costs))]
        taken.append(box)
        _write(axes, name, place, box, far)


def _choices(
    place: NDArray[np.float64], width: float, height: float, scale: float
) -> list[tuple[NDArray[np.float64], int]]:
    """Boxes (left, bottom, right, top) in pixels around a point, each with its distance."""
    found = []
    for far in (NEAR, *FAR):
        for across, up in DIRECTIONS:
            reach = far * scale * (1.0 if across == 0 or up == 0 else 0.7)
            left = place[0] + across * reach - width * (1 - across) / 2
            bottom = place[1] + up * reach - height * (1 - up) / 2
            found.append((np.array([left, bottom, left + width, bottom + height]), far))
    return found


def _cost(
    box: NDArray[np.float64], far: int, frame: NDArray[np.float64],
    hidden: NDArray[np.float64], taken: Boxes,
) -> float:  # fmt: skip
    """How bad a place is: outside the frame, over names or points, over lines, far away."""
    outside = max(0.0, *(frame[:2] - box[:2]), *(box[2:] - frame[2:]))
    over = sum(_overlap(box, other) for other in taken)
    inside = (hidden > box[:2] - 3).all(axis=1) & (hidden < box[2:] + 3).all(axis=1)
    return float(100 * outside + 10 * over + 20 * inside.sum() + far)


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return float(sides.prod()) if (sides > 0).all() else 0.0


def _dotted(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points every few pixels along a polyline."""
    parts = [line[:1]]
    for a, b in pairwise(line):
        count = max(2, int(np.hypot(*(b - a)) / 3))
        parts.append(np.linspace(a, b, count))
    return np.vstack(parts)


def _write(
    axes: Axes, name: str, place: NDArray[np.float64], box: NDArray[np.float64], far: int
) -> None:
    points = (box[:2] - place) * 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    arrow = {"arrowstyle": "-", "color": MUTED, "lw": 0.6, "shrinkA": 0, "shrinkB": 3}
    x, y = axes.transData.inverted().transform(place)
    note = axes.annotate(name, (x, y), xytext=tuple(points),
                         textcoords="offset points", ha="left", va="bottom", fontsize=SIZE,
                         color=INK,
                         arrowprops=arrow if far > NEAR else None)  # fmt: skip
    note.set_in_layout(False)  # the axes keep the size for which the places were found
