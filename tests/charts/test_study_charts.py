"""The charts of a study: names keep off one another, and every series is in every chart."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from stages.charts.study_bars import accuracy_bars, speed_bars
from stages.charts.study_matrix import class_heat_map
from stages.charts.study_points import cost_against_accuracy
from stages.charts.style import WIDTH_IN


def crowd(count: int = 10) -> pd.DataFrame:
    """Points close together, with long names, some of them on a front."""
    draws = np.random.default_rng(1)
    table = pd.DataFrame({
        "series": [f"backbone_{i} one_cycle_40" for i in range(count)],
        "mean": 0.5 + 0.05 * draws.normal(size=count),
        "ms": np.exp(draws.normal(1, 0.5, count)),
    })  # fmt: skip
    table["front"] = table["mean"] >= table["mean"].nlargest(3).min()
    return table.assign(low=table["mean"] - 0.02, high=table["mean"] + 0.02)


def labels(drawn: Figure) -> list[Annotation]:
    drawn.draw_without_rendering()
    (axes,) = drawn.axes
    return [text for text in axes.texts if isinstance(text, Annotation)]


def boxes(notes: list[Annotation]) -> list[Bbox]:
    """Where the names stand in pixels, without the lines to their points."""
    return [Text.get_window_extent(note) for note in notes]


def test_names_in_a_scatter_overlap_neither_one_another_nor_the_frame() -> None:
    points = crowd()
    drawn = cost_against_accuracy(points, "ms", "ms", "Latency", 0.1)
    notes = labels(drawn)
    assert {note.get_text() for note in notes} == set(points["series"])
    texts = boxes(notes)
    for a, b in combinations(texts, 2):
        assert not a.overlaps(b)
    (axes,) = drawn.axes
    frame = axes.get_window_extent().padded(1)
    assert all(frame.containsx(box.x0) and frame.containsx(box.x1) for box in texts)


def test_an_axis_of_shares_shows_none_beyond_all() -> None:
    points = crowd().assign(mean=0.97, low=0.8, high=1.3)
    (axes,) = cost_against_accuracy(points, "ms", "ms", "Latency", 0.1).axes
    assert max(tick for tick in axes.get_yticks() if tick <= axes.get_ylim()[1]) == 1.0


def test_names_keep_off_the_line_of_the_front() -> None:
    points = pd.DataFrame({
        "series": ["small tutorial_2", "large one_cycle_40", "deep one_cycle_40"],
        "mean": [0.135, 0.472, 0.486], "ms": [0.309, 0.992, 12.8], "front": True,
    })  # fmt: skip
    points = points.assign(low=points["mean"] - 0.01, high=points["mean"] + 0.01)
    drawn = cost_against_accuracy(points, "ms", "ms", "Latency", 0.1)
    texts = boxes(labels(drawn))
    (axes,) = drawn.axes
    corners = axes.transData.transform(points[["ms", "mean"]].to_numpy())
    for box in texts:
        for a, b in pairwise(corners):
            line = np.linspace(a, b, 500)
            inside = (line > box.min).all(axis=1) & (line < box.max).all(axis=1)
            assert not inside.any()


def test_both_bar_charts_have_the_same_rows_in_the_same_order() -> None:
    rows = crowd(4).assign(speed=[1.0, 2.0, float("nan"), 4.0])
    names = []
    for drawn in (accuracy_bars(rows, "top-1", 0.1),
                  speed_bars(rows, "speed", "images per second")):  # fmt: skip
        (axes,) = drawn.axes
        names.append([label.get_text() for label in axes.get_yticklabels()])
    assert names[0] == names[1] == list(rows.sort_values("mean", ascending=False)["series"])


def test_a_heat_map_of_many_classes_is_no_wider_than_the_page() -> None:
    shares = pd.DataFrame(np.full((3, 100), 0.5), index=["a", "b", "c"])
    drawn = class_heat_map(shares)
    assert drawn.get_size_inches()[0] == 2 * WIDTH_IN
    assert not drawn.axes[0].texts
