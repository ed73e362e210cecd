"""Every figure and picture of a page names the cells that went into it, and no others."""

import re
from pathlib import Path
from typing import Any

import pytest

from stages.pages.blocks import Picture, Table
from stages.studies.analysis.reading import read_results
from stages.studies.analysis.traced import Traced
from stages.studies.page.page import page_view
from stages.studies.spec.study_config import StudyConfig
from stages.studies.spec.study_source import load_study_source
from tests.studies.samples import fill, make_study


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        form = make_study(root)
        fill(form)
        return page_view(form, load_study_source(form), read_results(form))


def traced(table: Table, row: int, column: int) -> set[str]:
    figure = table.rows[row][column]
    assert isinstance(figure, Traced), figure
    return set(figure.cells)


def cells(model: str, *sizes: int) -> set[str]:
    return {f"{model}-{size}-plain-{seed}" for size in sizes for seed in (0, 1)}


def test_a_figure_at_a_size_names_the_cells_of_that_size(shown: dict[str, Any]) -> None:
    part = shown["sections"][0]
    for images, ranking in zip((100, 200, 400), part["rankings"], strict=True):
        assert traced(ranking, 0, 2) == cells(ranking.rows[0][1], images)
    leader = part["classes"].head[1]
    assert traced(part["classes"], 0, 1) == cells(leader, 400)
    efficiency = part["efficiency"]
    assert traced(efficiency, 1, 2) == cells(efficiency.rows[1][0], 400)
    times = part["times"]
    assert traced(times, 0, 3) == cells(times.rows[0][0], int(times.rows[0][1]))
    advice = {item.use: item for item in part["advice"]}
    assert set(advice["small data"].figures.cells) == cells(advice["small data"].series, 100)
    assert set(advice["low latency"].figures.cells) == cells(advice["low latency"].series, 400)


def test_the_first_tile_the_spread_and_the_winner_are_traced(shown: dict[str, Any]) -> None:
    every = {cell for model in ("good", "fair", "poor") for cell in cells(model, 100, 200, 400)}
    part = shown["sections"][0]
    assert set(shown["tiles"][0].detail.cells) == {cell for cell in every if "-400-" in cell}
    assert set(part["spread"].cells) == every
    assert set(part["winner"].cells) == every


def test_every_picture_says_which_cells_it_was_drawn_from(shown: dict[str, Any]) -> None:
    part = shown["sections"][0]
    pictures = [
        picture
        for value in part.values()
        if isinstance(value, list)
        for picture in value
        if isinstance(picture, Picture)
    ]
    assert len(pictures) >= 8
    for picture in pictures:
        names = re.search(r'title="runs: ([^;]+);', picture.caption)
        assert names, picture.caption
        assert re.search(r">From (\d+ runs: |good-400)", picture.caption)
    leader = next(iter(part["confusion"])).caption
    assert "From good-400-plain-0, good-400-plain-1." in leader
    assert "poor" not in leader


def test_in_print_the_cells_and_their_commands_are_shown() -> None:
    """A hover is not to be had on paper."""
    template = (Path(__file__).parents[2] / "stages/templates/study.html.j2").read_text()
    assert "details.long { display: block; }" in template


def test_why_there_is_no_curve_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipes = {"short": {}, "long": {"train": {"epochs": 9}}}
    form = make_study(tmp_path, recipes=recipes)
    fill(form)
    for cell in form.cells:  # each recipe at one size only
        if cell.size != {"short": "100", "long": "400"}[cell.recipe]:
            (form.cell_folder(cell) / "cell.json").unlink()
    part = _part(form)
    assert part["samples"] is None
    assert part["no_curve"].startswith("No backbone and recipe is surely above one answer")
    caption = part["data_size"][0].caption
    assert "Points" in caption
    assert "Lines and bands" not in caption


def _part(form: StudyConfig) -> dict[str, Any]:
    (part,) = page_view(form, load_study_source(form), read_results(form))["sections"]
    return dict(part)
