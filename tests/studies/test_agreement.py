"""Whether a study's answer holds on another machine, from cells kept beside each other."""

import json
import shutil
from pathlib import Path

import pytest

from stages.core import files
from stages.core.errors import RunError
from stages.studies.analysis.agreement import Agreement, agreements
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.reading import read_results
from stages.studies.page.page import write_page
from stages.studies.run.keep import keep_cells
from stages.studies.spec.study_config import StudyConfig
from stages.study import main
from tests.studies import samples

ONE, OTHER = "aaaa-1111", "bbbb-2222"


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """A study that one machine ran and kept, and whose cells are the other's to write."""
    monkeypatch.chdir(tmp_path)
    form = samples.make_study(tmp_path, sizes=(400,))
    samples.fill(form, ONE, images_per_class=200)
    assert main(["keep", "made"]) == 0
    return form


def agreement(form: StudyConfig, *machines: str) -> Agreement:
    results = read_results(form)
    (found,) = agreements(*(MachineResults(form, results, name) for name in machines))
    return found


def test_where_neither_machine_is_sure_who_is_first_nothing_speaks_against(
    form: StudyConfig,
) -> None:
    samples.fill(form, OTHER, images_per_class=200)
    found = agreement(form, ONE, OTHER)
    assert found.stands
    assert found.leaders == ("good", "good")
    assert found.tau is not None
    assert found.tau.value == 1
    assert [change.difference.value for change in found.changes] == pytest.approx([0, 0, 0])
    assert found.swapped == found.beyond == ()
    assert found.beyond_seeds == ()
    text = " ".join(_page(form).split())
    answer = "Nothing speaks against the answer on machine 2 (made-up chip, DNA aaaa-1111) at 400 "
    told = "images: of the 3 compared, good is first on both (Kendall's tau 1.00, interval "
    assert answer + told in text


def test_the_answer_holds_where_both_are_sure_who_is_first(
    form: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SKILL", {"good": 0.95, "fair": 0.6, "poor": 0.4})
    samples.fill(form, ONE, images_per_class=200)
    assert main(["keep", "made"]) == 0
    samples.fill(form, OTHER, images_per_class=200)
    found = agreement(form, ONE, OTHER)
    assert found.surely_first
    assert found.holds
    assert "\nThe answer holds on machine 2 (made-up chip, DNA" in _page(form)


def _with_a_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """Two machines, on both of which `again` gives the bits of `plain` for the best backbone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples, "SKILL", {"good": 0.95, "fair": 0.6, "poor": 0.4})
    form = samples.make_study(tmp_path, sizes=(400,), recipes={"again": {}, "plain": {}})
    for machine in (ONE, OTHER):
        samples.fill(form, machine, images_per_class=200)
        for path in form.cells_folder.glob("good-400-*-*/cell.json"):
            cell = json.loads(path.read_text())
            cell["train"]["weights_hash"] = f"{machine} {cell['seed']}"
            files.write_json(path, cell)
        if machine == ONE:
            assert main(["keep", "made"]) == 0
    return form


def test_a_recipe_that_gives_the_bits_of_another_is_none_to_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`again` is `plain` with another seed's name: it ties with the first on both machines."""
    form = _with_a_twin(tmp_path, monkeypatch)
    found = agreement(form, ONE, OTHER)
    assert {change.series for change in found.changes} == {
        "good again", "fair again", "fair plain", "poor again", "poor plain",
    }  # fmt: skip
    assert (found.ran, found.of, found.surely_first, found.holds) == (5, 5, True, True)


def test_a_twin_that_one_machine_alone_ran_does_not_take_its_backbone_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`again` and `plain` have the same bits on one machine, and the other ran `plain` alone."""
    form = _with_a_twin(tmp_path, monkeypatch)
    for path in form.cells_folder.glob("good-400-again-*"):
        shutil.rmtree(path)
    found = agreement(form, ONE, OTHER)
    assert "good plain" in {change.series for change in found.changes}
    assert found.surely_first


def test_the_answer_does_not_hold_on_half_of_those_that_ran(
    form: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SKILL", {"good": 0.95, "fair": 0.6, "poor": 0.4})
    samples.fill(form, ONE, images_per_class=200)
    assert main(["keep", "made"]) == 0
    samples.fill(form, OTHER, images_per_class=200)
    for path in [*form.cells_folder.glob("fair-*"), *form.cells_folder.glob("poor-*")]:
        shutil.rmtree(path)
    found = agreement(form, ONE, OTHER)
    assert (found.ran, found.of, found.holds, found.tau) == (1, 3, False, None)


def test_cells_of_other_pictures_are_not_compared(form: StudyConfig) -> None:
    samples.fill(form, OTHER, images_per_class=200)
    for path in form.cells_folder.glob("good-*/cell.json"):
        cell = files.read_json(path)
        path.write_text(json.dumps(cell | {"indices_sha256": "other", "train_images": 390}))
    found = agreement(form, ONE, OTHER)
    assert [change.series for change in found.changes] == ["fair", "poor"]
    for path in form.cells_folder.glob("good-*"):
        shutil.rmtree(path)
    text = " ".join(_page(form).split())
    assert "good, the best of machine 1 (made-up chip, DNA aaaa-1111) at 400 images (" in text
    assert "%), was run on it alone." in text
    assert "the best of machine 2" not in text


def test_a_ranking_turned_round_does_not(
    form: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SKILL", {"good": 0.4, "fair": 0.7, "poor": 0.8})
    samples.fill(form, OTHER, images_per_class=200)
    found, turned = agreement(form, ONE, OTHER), agreement(form, OTHER, ONE)
    assert found.stands is turned.stands is False
    assert ("good", "poor") in found.reversed
    assert set(turned.reversed) == {pair[::-1] for pair in found.reversed}
    assert found.tau is not None
    assert found.tau.value < 0
    assert {"good", "poor"} <= {change.series for change in found.beyond}
    text = _page(form)
    assert len(found.beyond_seeds) == 4
    assert "the answer is not the same at 400 images" in text
    assert "reversed, and both machines are sure: " in text


def test_chance_is_no_answer(form: StudyConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SKILL", dict.fromkeys(samples.SKILL, -0.5))
    for machine in (ONE, OTHER):
        samples.fill(form, machine, images_per_class=200)
        keep_cells(form)
    assert agreement(form, ONE, OTHER).stands is None


def test_nothing_to_keep_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no finished cell"):
        keep_cells(samples.make_study(tmp_path))


def _page(form: StudyConfig) -> str:
    write_page(form.name)
    return (form.folder / "report.md").read_text()


def test_what_is_current_is_not_overwritten_by_what_is_not(form: StudyConfig) -> None:
    """A branch may have the cells as they were before a parameter was changed."""
    place = form.machines_folder / ONE / "good-400-plain-0" / "cell.json"
    before = place.read_bytes()
    path = form.cells_folder / "good-400-plain-0" / "cell.json"
    path.write_text(json.dumps(files.read_json(path) | {"params_id": "older"}))
    told = keep_cells(form)
    assert "1 cell is of other parameters or pictures than the study has now, and not kept" in told
    assert place.read_bytes() == before


def test_seeds_that_machines_divided_are_no_run_of_one_alone(form: StudyConfig) -> None:
    samples.fill(form, OTHER, images_per_class=200)
    shutil.rmtree(form.machines_folder / ONE / "good-400-plain-1")
    shutil.rmtree(form.cells_folder / "good-400-plain-0")
    text = " ".join(_page(form).split())
    assert "%), is in no run that both did." in text
    assert "was run on it alone" not in text


def test_two_further_machines_are_compared_where_the_first_ran_nothing_of_theirs(
    form: StudyConfig,
) -> None:
    samples.fill(form, OTHER, images_per_class=200)
    keep_cells(form)
    for cell in form.cells:
        shutil.rmtree(form.cell_folder(cell))
        if cell.model != "good":
            samples.write_cell(form, cell.name, "cccc-3333", images_per_class=200)
            for machine in (ONE, OTHER):
                shutil.rmtree(form.machines_folder / machine / cell.name)
    text = " ".join(_page(form).split())
    assert "DNA aaaa-1111) and machine 3 (made-up chip, DNA bbbb-2222) there is no ranking" in text
