"""Cells say which code made them, and plan and page say where that is not the present one."""

import json
from pathlib import Path

import pytest

from stages.core import files
from stages.studies.page.page import write_page
from stages.studies.run.code import cell_code, code_note
from stages.studies.run.plan import plan_of
from stages.studies.spec.study_config import StudyConfig
from tests.studies.samples import fill, make_study


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    monkeypatch.chdir(tmp_path)
    made = make_study(tmp_path, models=("lenet_small", "lenet_large"), sizes=(100,), seeds=2)
    fill(made)
    return made


def test_cells_of_the_present_code_need_no_word(form: StudyConfig) -> None:
    made = [(cell.name, cell_code(form.params(cell))) for cell in form.cells]
    assert code_note(form, made) is None
    write_page("made")
    assert "other code" not in (form.folder / "report.md").read_text()


def test_cells_of_other_code_are_kept_and_told(form: StudyConfig) -> None:
    declared = plan_of(form).machine
    values = [{"code": "0123456789abcdef"}, {"code": None}, {}, {}]
    for cell, change in zip(form.cells, values, strict=True):
        path = form.cell_folder(cell) / "cell.json"
        found = json.loads(path.read_text()) | change
        if change == {"code": None}:
            del found["code"]
        found["machine"]["declared_id"] = declared
        files.write_json(path, found)
    plan = plan_of(form)
    assert not plan.missing
    write_page("made")
    page = (form.folder / "report.md").read_text()
    told = (
        "2 of 4 runs were made by other code than the present one "
        "(by version 01234567; 1 by a version that they do not name)"
    )
    for text in (plan.text(), page):
        assert told in text
        assert "dvc --cd studies repro -f -k made/dvc.yaml (one: " in text


def test_verified_cells_count_and_many_versions_are_not_all_named(form: StudyConfig) -> None:
    made = [(cell.name, f"{place}" * 12) for place, cell in enumerate(form.cells)]
    told = code_note(form, made, verified=3)
    assert told is not None
    assert told.startswith(
        "4 of 7 runs were made by other code than the present one (by version 00000000, 11111111, "
        "22222222 and 1 more), and are not among the 3 that were verified. They are kept."
    )
