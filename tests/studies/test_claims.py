"""Claims: their words, what is compared, and the verdict that the runs give."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from stages.core import files
from stages.core.errors import ParamsError
from stages.studies.analysis.judging import Status, Verdict, judge
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.reading import read_results
from stages.studies.analysis.results import Results
from stages.studies.page.verdicts import (
    answering,
    claims_table,
    claims_tile,
    judge_all,
    reported_table,
    slips,
)
from stages.studies.spec.claims import parse
from stages.studies.spec.study_config import StudyConfig, load_study_config
from stages.studies.spec.study_source import Claim, Reported, StudySource
from tests.studies.samples import fill, make_study, write_cell

MACHINE = "aaaa-1111"


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    monkeypatch.chdir(tmp_path)
    return make_study(tmp_path, models=("good", "fair"), sizes=(100, 400))


def rewritten(form: StudyConfig, **changes: object) -> StudyConfig:
    """The form with other values at the top of its params.yaml."""
    path = form.folder / "params.yaml"
    files.write_text(path, yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    return load_study_config(form.name)


def verdict(form: StudyConfig, claim: str, machine: str = MACHINE) -> Verdict:
    return judge(claim, form, read_results(form), machine)


@pytest.mark.parametrize(
    ("spread", "status"), [(0.1, "holds"), (1.5, "undecided"), (None, "undecided")]
)
def test_a_latency_that_all_seeds_share_is_no_sure_figure(
    spread: float | None, status: str, form: StudyConfig
) -> None:
    """Cells of a model share one measurement: equal figures are not three that agree."""
    fill(form)
    results = read_results(form)
    if spread is not None:
        results = replace(results, cells=results.cells.assign(latency_spread=spread))
    found = judge("fair is faster than good at 100", form, results, MACHINE)
    assert found.status == status
    assert found.told.startswith("5 ms against 20 ms")
    assert len(found.cells) == 4


def test_half_a_study_compares_the_size_that_both_have(form: StudyConfig) -> None:
    """With `good` finished at 100 alone, `fair` is not taken at 400."""
    for cell in form.cells:
        if cell.model == "fair" or cell.size == "100":
            write_cell(form, cell.name, MACHINE)
    found = verdict(form, "good trains faster than fair")
    assert {name.split("-")[1] for name in found.cells} == {"100"}
    assert verdict(form, "good beats fair at 400").told == "no run of good at 400"
    assert {name.split("-")[1] for name in verdict(form, "fair 400 beats fair 100").cells} == {
        "100",
        "400",
    }
    assert "at one size" in verdict(form, "good beats fair 400").told


def test_a_single_run_is_judged_by_the_spread_of_repeated_ones(form: StudyConfig) -> None:
    names: dict[str, list[str]] = {}
    for cell in form.cells:
        names.setdefault(f"{cell.model}-{cell.size}", []).append(cell.name)
    singles = [names["good-400"][0], names["fair-400"][0]]
    for name in singles:
        write_cell(form, name, MACHINE)
    claim = "good beats fair at 400"
    assert verdict(form, claim).status == "undecided"  # nothing tells how far seeds differ
    for name in (*names["good-100"], *names["fair-100"]):
        write_cell(form, name, MACHINE)
    found = verdict(form, claim)
    assert "±" in found.told
    assert set(found.cells) == set(singles)


def test_what_a_side_leaves_open_is_that_of_the_other(form: StudyConfig) -> None:
    form = rewritten(form, recipes={"plain": {}, "longer": {"train": {"epochs": 4}}})
    grid = form.file.grids["main"].model_dump()
    form = rewritten(form, grids={"main": grid | {"recipes": ["plain", "longer"]}})
    fill(form)
    for claim, recipe in (("good plain beats fair", "plain"), ("good beats fair", "longer")):
        found = verdict(form, claim).cells
        assert {name.split("-")[2] for name in found} == {recipe}


def test_times_are_told_as_a_ratio_with_its_interval(form: StudyConfig) -> None:
    fill(form)
    found = verdict(form, "fair trains faster than good")
    assert found.status == "holds"
    assert found.told == "15 s against 60 s: 4 times as fast (4 to 4)"


def two_devices(form: StudyConfig, backend: str) -> Results:
    """`on_cpu` ran on the CPU of the host whose device `backend` ran `plain`."""
    fill(form)
    results = read_results(form)
    cells = results.cells.assign(machine=results.cells["machine"])
    cells.loc[cells["recipe"] == "on_cpu", "machine"] = "cccc-1111"
    cells.loc[cells["recipe"] == "on_cpu", "train_seconds"] *= 4
    facts = results.machines[MACHINE] | {"os": "Linux"}
    machines = {MACHINE: facts | {"backend": backend}, "cccc-1111": facts | {"backend": "cpu"}}
    return replace(results, cells=cells, machines=machines, predictions=results.predictions[:0])


def test_recipes_for_two_devices_are_compared_across_the_devices_of_one_host(
    form: StudyConfig,
) -> None:
    form = rewritten(form, recipes={"plain": {}, "on_cpu": {"device": "cpu"}})
    grid = form.file.grids["main"].model_dump()
    form = rewritten(form, grids={"main": grid | {"recipes": ["on_cpu", "plain"]}})
    claim = "good plain trains faster than good on_cpu"
    results = two_devices(form, "mps")
    for machine in (MACHINE, "cccc-1111"):
        found = judge(claim, form, results, machine)
        assert found.status == "holds"
        assert found.told.startswith("60 s against 240 s: 4 times as fast")
    for fact in ("torch", "chip"):
        results.machines["cccc-1111"][fact] = "of another host"
        assert judge(claim, form, results, MACHINE).told == "no run of good on_cpu"
        results.machines["cccc-1111"][fact] = results.machines[MACHINE].get(fact)
    found = judge(claim, form, two_devices(form, "cpu"), MACHINE)
    assert (found.status, found.told) == ("not run", "both ran on the same device (cpu)")


def test_stand_ins_are_marked_and_kept_out_of_the_count(form: StudyConfig) -> None:
    """A network of 0.4 M parameters says nothing of the cost of the 86 M one it stands for."""
    form = rewritten(form, stands_for={"fair": "huge", 100: 5000})
    fill(form, images_per_class=100)
    claims = ["good beats huge at 5000", "huge trains faster than good", "good reaches 10 %"]
    story = StudySource(
        title="", question="", source="", claims=[Claim(claim=c, source="") for c in claims],
        reported=[Reported(model="huge", size=5000, top1=0.3)],
    )  # fmt: skip
    view = MachineResults(form, read_results(form), MACHINE)
    judged = judge_all(story, [view])
    assert [verdicts[0].status for _, verdicts in judged] == ["holds", "not run", "holds"]
    table = claims_table(judged)
    assert table is not None
    assert table.rows[0][0] == "good beats huge (here fair) at 5000"
    assert table.rows[1][3] == "fair ran in place of huge, whose cost is another"
    tile = claims_tile(judged)
    assert tile is not None
    assert (tile.value, tile.detail) == (
        "1 of 1",
        "1 holds, 2 about a model in place of the source's, not counted",
    )
    reported = reported_table(story, [view])
    assert reported is not None
    assert reported.rows[0][:2] == ("huge (here fair)", "5,000 (here 100)")


def test_a_claim_counts_as_the_machine_that_is_surest_of_it_says() -> None:
    claim = Claim(claim="a beats b", source="")
    given: list[list[Status]] = [
        ["undecided", "holds"],
        ["does not hold", "not run"],
        ["holds", "does not hold"],
    ]
    judged = [(claim, [Verdict(status, "", (), ()) for status in row]) for row in given]
    tile = claims_tile(judged)
    assert tile is not None
    assert tile.detail == "1 holds, 1 does not, 1 differs between machines"


def test_claims_that_answer_the_question_are_told_first_with_who_says_so() -> None:
    claims = [Claim(claim="a beats b", source="", answers=answers) for answers in (True, False)]
    given: list[list[Status]] = [["holds", "undecided"], ["undecided", "holds"], ["not run"] * 2]
    for statuses, told in zip(given, ("so", "so · machine 2", "so"), strict=True):
        verdicts = [Verdict(status, "so", (), ()) for status in statuses]
        state = next((one for one in statuses if one == "holds"), "not run")
        assert answering([(claim, verdicts) for claim in claims]) == [("a beats b", state, told)]


def test_each_machine_that_has_a_verdict_has_a_row() -> None:
    claim = Claim(claim="a beats b", source="2 against 1")
    given: list[list[Status]] = [["not run", "holds", "undecided"], ["not run"] * 3]
    verdicts = [[Verdict(status, "so", (), ()) for status in row] for row in given]
    table = claims_table([(claim, row) for row in verdicts])
    assert table is not None
    assert table.head == ("claim", "at the source", "on", "verdict", "here")
    assert table.rows == (
        ("a beats b", "2 against 1", "machine 2", "holds", "so"),
        ("", "", "machine 3", "undecided", "so"),
        ("a beats b", "2 against 1", "–", "not run", "so"),
    )


def test_the_turns_of_the_source_stand_beside_those_here(form: StudyConfig) -> None:
    fill(form)
    results = read_results(form)
    results = replace(results, cells=results.cells.assign(test_turn_top1=0.25))
    row = Reported(model="good", size=100, top1=0.361, turn_top1=0.394)
    story = StudySource(title="", question="", source="", reported=[row])
    table = reported_table(story, [MachineResults(form, results, MACHINE)])
    assert table is not None
    found = dict(zip(table.head, table.rows[0], strict=True))
    assert (found["turn accuracy"], found["turn, here"]) == ("39.4 %", "25.0 %")
    fewer = results.cells[results.cells["model"] != "good"]  # the other machine alone ran it
    views = [MachineResults(form, replace(results, cells=fewer), MACHINE)]
    table = reported_table(story, [*views, MachineResults(form, results, MACHINE, 2)])
    assert table is not None
    assert "25.0 % · machine 2" in table.rows[0]


def test_a_correction_and_a_remark_are_told_apart() -> None:
    rows = [Reported(model="a", corrected="a tenth"), Reported(model="b"),
            Reported(model="c", remark="at 224 px")]  # fmt: skip
    story = StudySource(title="", question="", source="", reported=rows)
    assert slips(story) == ["[1] Corrected: a tenth", "[2] Remark: at 224 px"]
    table = reported_table(story, [])
    assert table is not None
    assert [row[0] for row in table.rows] == ["a [1]", "b", "c [2]"]


def test_a_misspelt_name_is_a_mistake_and_one_of_the_other_form_is_not_run(
    form: StudyConfig,
) -> None:
    fill(form)
    with pytest.raises(ParamsError, match="Did you mean good"):
        parse("god beats fair", form)
    with pytest.raises(ParamsError, match="gives points"):
        parse("good trains faster than fair by 5 points", form)
    small = yaml.safe_load((form.folder / "params.yaml").read_text())
    small["grids"]["main"]["models"] = ["god"]
    files.write_text(form.folder / "small" / "params.yaml", yaml.safe_dump(small))
    assert verdict(form, "god beats fair").told == "no run of god"
    assert verdict(form, "resnet18 beats fair").told == "no run of resnet18"


def test_a_size_that_no_grid_has_is_not_run_and_those_of_the_grids_are_named(
    form: StudyConfig,
) -> None:
    """It may have been taken out of the grid, which must not end in a page that is refused."""
    fill(form)
    for claim in ("good beats fair at 130", "good 130 beats fair 400", "good reaches 9 % at 130"):
        found = verdict(form, claim)
        assert found.status == "not run"
        assert "130" in found.told
        assert found.told.endswith("(sizes of the grids are 100, 400)")


@pytest.mark.parametrize(
    ("claim", "both"),
    [
        ("good beats good", "good"),
        ("good 100 overfits less than good 100", "good 100"),
        ("good plain trains faster than good at 400", "good plain 400"),
    ],
)
def test_a_side_is_not_compared_with_itself(claim: str, both: str, form: StudyConfig) -> None:
    with pytest.raises(ParamsError, match=f"compares {both} with itself"):
        parse(claim, form)


def test_two_sizes_of_the_source_that_one_stands_for_are_still_two(form: StudyConfig) -> None:
    form = rewritten(form, stands_for={100: 5000})
    parsed = parse("good 5000 beats good 100", form)
    assert [side.size for side in parsed.sides] == ["100", "100"]
