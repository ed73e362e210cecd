"""What DVC's page draws with the templates of .dvc/plots, as Vega computes it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from dvc_render import VegaRenderer
from vl_convert import vegalite_to_svg

VEGA_LITE = "5.20"


def drawn(root: Path, rows: list[dict[str, str]]) -> str:
    """The confusion plot as dvc.yaml sets it up, as SVG."""
    stage = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["evaluate"]
    (props,) = [plot["plots/predictions.csv"] for plot in stage["plots"]
                if "plots/predictions.csv" in plot]  # fmt: skip
    renderer = VegaRenderer(
        rows, "plots/predictions.csv", template_dir=str(root / ".dvc/plots"),
        revs_with_datapoints=sorted({row["rev"] for row in rows}), **props,
    )  # fmt: skip
    return str(vegalite_to_svg(json.loads(json.dumps(renderer.get_filled_template())), VEGA_LITE))


def answers(label: str, predicted: str, images: int, rev: str = "workspace") -> list[dict[str, str]]:  # fmt: skip  # noqa: E501
    return [{"label": label, "predicted": predicted, "rev": rev}] * images


def percents(svg: str) -> dict[tuple[str, str], float]:
    """Per cent by actual and predicted class."""
    found = re.findall(r'"predicted: ([^;]*); actual: ([^;]*); %: ([\d.]+); images', svg)
    return {(actual, predicted): float(value) for predicted, actual, value in found}


@pytest.fixture(scope="module")
def unequal(root: Path) -> str:
    rows = answers("cat", "cat", 97) + answers("cat", "dog", 3)
    rows += answers("dog", "dog", 10) + answers("dog", "cat", 250) + answers("bird", "cat", 5)
    return drawn(root, rows)


def test_shares_are_of_the_actual_class(unequal: str) -> None:
    assert percents(unequal) == {
        ("cat", "cat"): 97, ("cat", "dog"): 3, ("dog", "dog"): pytest.approx(100 * 10 / 260),
        ("dog", "cat"): pytest.approx(100 * 250 / 260), ("bird", "cat"): 100,
    }  # fmt: skip


def test_a_class_that_is_never_predicted_keeps_its_place(unequal: str) -> None:
    labels = re.findall(r"<text[^>]*>(bird|cat|dog)</text>", unequal)
    assert labels == ["bird", "cat", "dog"] * 2


def test_each_run_has_shares_of_its_own(root: Path) -> None:
    rows = answers("cat", "cat", 9) + answers("cat", "dog", 1)
    rows += answers("cat", "dog", 4, "HEAD") + answers("dog", "dog", 4, "HEAD")
    svg = drawn(root, rows)
    assert sorted(re.findall(r"%: ([\d.]+); images", svg)) == ["10", "100", "100", "90"]
    assert svg.count(">HEAD<") == svg.count(">workspace<") == 1


def test_many_classes_are_drawn_without_figures_in_the_cells(root: Path) -> None:
    svg = drawn(root, [row for i in range(100) for row in answers(f"c{i}", f"c{i}", 1)])
    assert len(percents(svg)) == 100
    assert not re.findall(r"<text[^>]*>100</text>.*<text[^>]*>100</text>", svg)
