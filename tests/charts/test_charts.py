"""Every chart: it draws something, the same bytes twice, and copes with little data."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from stages.charts import (
    activation_maps,
    augmentation_sheet,
    confusion,
    cost,
    curves,
    evidence,
    filters,
    hardest,
    per_class,
    reliability,
    style,
)
from stages.charts.style import CSS_NAMES, inline_svg, save
from stages.measures.interpretation.activations import LayerActivations
from tests import run_files

TABLE = run_files.predictions()
NAMES = run_files.class_names(10)
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
MAPS = np.random.default_rng(0).normal(size=(6, 40, 7, 7)).astype(np.float32)

CHARTS: dict[str, Callable[[], Figure]] = {
    "loss": lambda: curves.loss_curves(run_files.history(), 9),
    "accuracy": lambda: curves.accuracy_curves(run_files.history(), 9),
    "learning rate": lambda: curves.learning_rate_curve(run_files.history()),
    "per class": lambda: per_class.per_class_bars(run_files.per_class(TABLE, NAMES), 0.7),
    "confusion": lambda: confusion.confusion_matrix(run_files.in_words(TABLE, NAMES), NAMES),
    "reliability": lambda: reliability.reliability_diagram(run_files.reliability(), 0.1),
    "latency": lambda: cost.latency_bars(run_files.profile_table()),
    "throughput": lambda: cost.throughput_curves(run_files.profile_table()),
    "memory": lambda: cost.memory_bars(run_files.PROFILE),
    "blocks": lambda: cost.block_bars(run_files.profile_blocks()),
    "hardest": lambda: hardest.hardest_images(PIXELS, TABLE.head(6), NAMES),
    "augmentation": lambda: augmentation_sheet.augmentation_sheet(PIXELS, {"flip": PIXELS}),
    "filters": lambda: filters.first_layer_filters(MAPS[:, :3]),
    "evidence": lambda: evidence.evidence_overlay(PIXELS, abs(MAPS[:, 0]), NAMES[:6]),
    "activations": lambda: activation_maps.activation_maps(
        PIXELS[:2], NAMES[:2], [LayerActivations("layer1", MAPS[:2], 0.5)]
    ),
}


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests look at whether there is something, not at how fine it is."""
    monkeypatch.setattr(style, "PNG_DPI", 50)


@pytest.mark.parametrize("name", CHARTS)
def test_draws_something(name: str, tmp_path: Path) -> None:
    figure = CHARTS[name]()
    assert any(axes.has_data() for axes in figure.axes)  # frames and titles alone are none
    save(figure, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5  # not an empty sheet


@pytest.mark.parametrize("name", ["loss", "confusion", "activations"])
def test_gives_the_same_bytes_twice(name: str, tmp_path: Path) -> None:
    save(CHARTS[name](), tmp_path / "a.png")
    save(CHARTS[name](), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("name", CHARTS)
def test_inline_svg_is_whole_and_themed(name: str) -> None:
    svg = inline_svg(CHARTS[name](), 'a "label" & more')
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'a "label" & more'
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    links = {value for element in root.iter() for key, value in element.items() if "href" in key}
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    assert "metadata" not in svg
    bare = [colour for colour in CSS_NAMES if svg.count(colour) != svg.count(f", {colour})")]
    assert bare == []


@pytest.mark.parametrize("name", ["loss", "confusion"])  # with lines; with a picture inside
def test_inline_svg_gives_the_same_text_twice(name: str) -> None:
    assert inline_svg(CHARTS[name](), "x") == inline_svg(CHARTS[name](), "x")


def test_svg_file_has_no_date(tmp_path: Path) -> None:
    save(CHARTS["loss"](), tmp_path / "a.svg")
    save(CHARTS["loss"](), tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_refuses_another_format_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.png or \.svg"):
        save(CHARTS["loss"](), tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_curves_leave_out_what_is_empty() -> None:
    history = run_files.history(epochs=1)
    history[["val_loss", "val_top1"]] = np.nan
    (axes,) = curves.loss_curves(history, 1).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "training",
        "kept: epoch 1",
    ]
    assert axes.lines[0].get_marker() == "o"  # a single epoch must be seen


def test_the_best_epoch_is_marked_on_validation() -> None:
    (axes,) = curves.accuracy_curves(run_files.history(), 9).axes
    ring = axes.lines[-1]
    expected = run_files.history().set_index("epoch").loc[9, "val_top1"]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (9, expected)


def test_a_class_without_images_has_no_bar() -> None:
    table = run_files.per_class(TABLE, NAMES)
    table.loc[3, ["top1", "low", "high"]] = None
    (axes,) = per_class.per_class_bars(table).axes
    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert "class 3" not in shown
    assert len(shown) == 9
    worst = table.dropna().sort_values(["top1", "class"])["class"].iloc[0]
    assert shown[0] == worst


def test_a_failed_variant_says_why() -> None:
    (axes,) = cost.latency_bars(run_files.profile_table()).axes
    assert "the network has no branches to merge" in [text.get_text() for text in axes.texts]


def test_many_blocks_are_summed_up_without_loss() -> None:
    blocks = run_files.profile_blocks(40).assign(params=range(40))
    left, right = cost.block_bars(blocks).axes
    widths = [bar.get_width() for bar in right.patches]
    assert sum(widths) == pytest.approx(blocks["params"].sum() / 1e3)
    assert [text.get_text() for text in left.get_yticklabels()][-1] == "(16 others)"


def test_a_dead_channel_is_black() -> None:
    maps = np.zeros((1, 4, 5, 5), np.float32)
    maps[0, 1, 2, 2] = 3.0
    figure = activation_maps.activation_maps(
        PIXELS[:1], ["x"], [LayerActivations("relu", maps, 0.99)]
    )
    drawn = figure.axes[1].images[0].get_array()
    assert float(drawn.max()) == 1.0
    assert float(drawn[:5, :5].max()) == 0.0


def test_no_timed_variant_at_all_still_draws() -> None:
    table = run_files.profile_table()
    table["images_per_second"] = np.nan
    table["latency_ms_p50"] = np.nan
    assert isinstance(cost.throughput_curves(table), Figure)
    assert isinstance(cost.latency_bars(table), Figure)
    empty = pd.DataFrame({"confidence": [], "accuracy": [], "images": []})
    assert isinstance(reliability.reliability_diagram(empty), Figure)


@pytest.mark.parametrize(("epochs", "ticks"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 3, 4, 5])])
def test_epochs_are_whole_numbers_even_when_there_is_one(epochs: int, ticks: list[int]) -> None:
    table = run_files.history(epochs=epochs)
    for drawn in (curves.loss_curves(table, 1), curves.learning_rate_curve(table)):
        axes = drawn.axes[0]
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == ticks
        assert low < 1 < high
