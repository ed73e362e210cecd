"""The time of a missing cell: from whatever is nearest to it, and always said from what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core.errors import DataError, ParamsError
from stages.core.params import Params, parse_params
from stages.datasets.pixels import Split
from stages.studies.run import rehearsal
from stages.studies.run.budget import choose, needed_by_claims, proposal, require_hours
from stages.studies.run.estimate import Estimate, Known, estimate, images_in
from stages.studies.run.known import Rehearsals, features, fresh
from stages.studies.run.plan import Plan, Planned, plan_of
from stages.studies.run.rehearsal import Pace, pace_of
from stages.studies.run.states import FINISHED, Reason, State
from stages.studies.spec.study_config import Cell
from tests.studies.samples import make_study, write_cell
from tests.training import helpers

NOT_RUN = State(Reason.NOT_RUN)
CELL = Cell("main", "good", "full", "plain", 2)


def params(train: int | str = "full", epochs: int = 4) -> Params:
    """A cell's parameters; its pool is what `known` says."""
    subset = {"train": train, "val": 100}
    return parse_params({"subset": subset, "train": {"epochs": epochs}}, "test")


def found(model: str = "good", size: str = "500", **more: Any) -> dict[str, Any]:
    """A cell that trained 500 images for 2 epochs at 100 images per second, and 3 s besides."""
    base: dict[str, Any] = {
        "model": model, "size": size, "recipe": "plain", "train_images": 500, "val_images": 100,
        "epochs": 2, "train": {"train_seconds": 10.0}, "cell_seconds": 13.0, "profile": {},
    }  # fmt: skip
    return base | more


PACE = Pace(start=1.0, step=0.1, traced=0.3, epoch=0.5, batch=0.2, trunk=0.0)


def known(*here: dict[str, Any], pool: int | None = 2100, **more: Any) -> Known:
    by_split = None if pool is None else {"train": pool, "test": 500}
    return Known(
        here=here,
        elsewhere=more.get("elsewhere", ()),
        images=lambda own: images_in(own, by_split),
        pace=lambda _: more.get("pace"),
        fresh=more.get("fresh", frozenset()),
        features=more.get("features", {}),
    )


def test_other_seeds_come_first() -> None:
    cells = [found(size="full", cell_seconds=seconds) for seconds in (80.0, 90.0)]
    answer = estimate(CELL, params(), known(found(), *cells))
    assert answer == Estimate(85.0, "as with its other seeds")


def test_a_profile_that_is_there_is_not_measured_again() -> None:
    first = found(size="full", cell_seconds=80.0, profile_seconds=60.0)
    answer = estimate(CELL, params(), known(first))
    assert answer == Estimate(20.0, "as with its other seeds")


def test_of_a_frozen_trunk_the_seed_that_computed_features_does_not_stand_for_all() -> None:
    probe = params().model_copy(update={"finetune": "probe"})
    first, *others = (found(size="full", cell_seconds=seconds) for seconds in (900.0, 14.0, 13.0))
    assert estimate(CELL, probe, known(first, pool=None)) is None
    answer = estimate(CELL, probe, known(first, *others))
    assert answer == Estimate(13.0, "as with its other seeds")


def test_full_is_what_validation_leaves_of_the_listed_pool() -> None:
    answer = estimate(CELL, params(), known(found()))
    assert answer is not None
    # To validate an image takes a third of what it takes to train on one.
    second = 2 * (500 + 100 / 3) / 10
    assert answer.seconds == pytest.approx(4 * (2000 + 100 / 3) / second + 3)
    assert answer.basis == "from its recipe with 500 images"
    assert estimate(CELL, params(), known(found(), pool=None)) is None
    half = estimate(CELL, params("1/2"), known(found(), pool=2000))
    assert half is not None
    assert half.seconds == pytest.approx(4 * (1000 + 100 / 3) / second + 3)


def test_only_the_same_recipe_tells_and_of_its_sizes_the_nearest() -> None:
    other = found(recipe="head", train={"train_seconds": 0.1})
    far = found(size="9", train_images=9, train={"train_seconds": 100.0})
    alone = estimate(CELL, params(), known(found()))
    assert estimate(CELL, params(), known(other, far, found())) == alone
    told = estimate(CELL, params(640), known(other, pace=PACE))
    assert told is not None
    assert "rehearsal" in told.basis


def test_features_of_a_frozen_trunk_are_counted_where_they_are_made() -> None:
    probe, pace = params(640).model_copy(update={"finetune": "probe"}), replace(PACE, trunk=0.01)
    first = estimate(CELL, probe, known(found(), pace=pace))
    assert first is not None
    assert first.seconds == pytest.approx(3 + 1 + 1240 * 0.01)  # 640 train, 100 validate, 500 test
    shared = estimate(CELL, probe, known(pace=pace, features={CELL.name: 100}))
    assert shared is not None
    assert shared.seconds == pytest.approx(3 + 1 + 100 * 0.01)


def test_sizes_add_to_the_features_and_seeds_share_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    probe = {"probe": {"pretrained": "w.pt", "finetune": "probe"}}
    form = make_study(tmp_path, models=("lenet_small",), sizes=(100, 400), recipes=probe)
    found = features(form, {cell.name: form.params(cell) for cell in form.cells}, known())
    first = 100 + 210 + 500  # a tenth of 2,100 validates
    assert found == dict(zip([c.name for c in form.cells], [first, 0, 300, 0], strict=True))


def test_a_rehearsal_tells_where_no_cell_of_the_model_finished() -> None:
    diverged = found(train=None)
    answer = estimate(CELL, params(640), known(diverged, pace=PACE))
    assert answer is not None
    # 3 for the process, 1 until the first step, 10 steps of 64 images in each of 4 epochs, all of
    # them traced, half a second more per epoch, 1 batch to validate in each and 2 to test.
    assert answer.seconds == pytest.approx(3 + 1 + 40 * 0.3 + 4 * 0.5 + (4 + 2) * 0.2)
    assert "rehearsal" in answer.basis
    first = estimate(CELL, params(640), known(diverged, pace=PACE, fresh=frozenset([CELL.name])))
    assert first is not None
    assert first.seconds > answer.seconds + 10


def test_a_rehearsal_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    said: list[str] = []
    chosen = helpers.params(train={"lr": 1e30, "optimizer": "sgd", "schedule": "one_cycle"})
    pace = pace_of(chosen, "here", said.append)
    assert min(pace.start, pace.step, pace.batch) > 0
    assert pace.trunk == 0
    assert pace.traced >= pace.step
    more = chosen.train.model_copy(update={"epochs": 9, "lr": 0.1})
    assert (
        pace_of(chosen.model_copy(update={"seed": 3, "train": more}), "here", said.append) == pace
    )
    assert len(said) == 1
    assert list((tmp_path / ".work/checkpoints").iterdir()) == []


def test_of_a_long_step_a_part_is_rehearsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(rehearsal, "LONG_SECONDS", 0.0)
    made: list[int] = []
    pictures = rehearsal._pictures

    def noted(params: Params, count: int) -> Split:
        made.append(count)
        return pictures(params, count)

    monkeypatch.setattr(rehearsal, "_pictures", noted)
    chosen = helpers.params(train={"batch_size": 72, "accumulate": 3}, evaluate={"batch_size": 64})
    pace = rehearsal.measured_pace(chosen)
    assert made == [2 * 9, 2 * 9, 64 // 8 + 1]  # to time one step; to train; to validate
    assert pace.traced >= pace.step > 0


def test_pools_with_and_without_official_splits() -> None:
    assert images_in(params(), {"any": 103}) is None
    assert images_in(params("1/2"), {"train": 400, "test": 80, "val": 7}) is None  # 100 are asked
    loose = parse_params({"subset": {"val": 0.1, "test": 0.5}}, "test")
    assert images_in(loose, {"any": 1000}) == (450, 50, 500)
    assert images_in(params(), {"train": 400, "test": 80, "val": 400}) == (400, 100, 80)
    shares = parse_params({"subset": {"val": 0.1}}, "test")
    assert images_in(shares, {"train": 400, "test": 80, "val": 60}) == (400, 60, 80)
    assert images_in(params(), {"train": 100, "test": 80}) is None  # validation takes them all
    assert images_in(params(640), None) == (640, 100, 0)
    assert images_in(params("1/2"), None) is None


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Three models, two sizes, two seeds; one cell of `good` is there, others take 10 or 11 s."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, sizes=(100, 400))
    write_cell(form, "good-100-plain-0", "aaaa-1111")
    planned = [
        Planned(cell, FINISHED, None)
        if cell.name == "good-100-plain-0"
        else Planned(
            cell, State(Reason.NOT_RUN), Estimate(10.0 + (cell.model == "poor"), "made up")
        )
        for cell in form.cells
    ]
    return Plan(form, "aaaa", planned, None)


def test_models_are_covered_first_then_sizes_then_seeds(plan: Plan) -> None:
    named = [one.cell.name for one in choose(plan, 62.0, set())]
    assert named == [
        "fair-100-plain-0", "poor-100-plain-0", "good-400-plain-0",
        "fair-400-plain-0", "poor-400-plain-0", "good-100-plain-1",
    ]  # fmt: skip


def test_the_first_of_a_network_bears_its_profile_whichever_it_is(plan: Plan) -> None:
    first = next(one for one in plan.planned if one.cell.name == "poor-100-plain-0")
    dear = replace(first, time=Estimate(61.0, "made up", 50.0))
    plan = replace(plan, planned=[dear if one is first else one for one in plan.planned])
    chosen = [one for one in choose(plan, 1e9, set()) if one.cell.model == "poor"]
    assert chosen[0].cell.name != first.cell.name
    assert [one.time.seconds for one in chosen if one.time] == [61.0, 11.0, 11.0, 11.0]
    assert all(one.cell.model != "poor" for one in choose(plan, 60.0, set()))


def test_recipes_that_are_profiled_apart_bear_a_profile_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipes = {"plain": {}, "slow": {"train": {"fast_kernels": False}}}
    form = make_study(tmp_path, models=("good",), sizes=(100,), seeds=2, recipes=recipes)
    first = fresh(form, [])
    assert sorted(first) == ["good-100-plain-0", "good-100-slow-0"]
    planned = [
        Planned(cell, NOT_RUN, Estimate(60.0, "made up", 50.0) if cell.name in first
                else Estimate(10.0, "made up"))
        for cell in form.cells
    ]  # fmt: skip
    chosen = choose(Plan(form, "aaaa", planned, None), 1e9, set())
    assert sum(one.time.seconds for one in chosen if one.time) == 140.0


def test_what_open_claims_need_comes_before_all(plan: Plan) -> None:
    needed = needed_by_claims(plan.form, plan.machine)
    assert "good-100-plain-1" in needed
    assert "fair-100-plain-0" not in needed
    assert choose(plan, 1e9, {"poor-400-plain-1"})[0].cell.name == "poor-400-plain-1"
    told = proposal(plan, 0.01)
    assert "Into 0.01 h fit 3 of 11 missing cells:" in told
    assert "made/dvc.yaml:main@" in told
    assert proposal(plan, 1e6) == "All missing cells fit into 1e+06 h."
    with pytest.raises(ParamsError, match="--hours is 0"):
        require_hours(0)


def test_a_claim_needs_the_cells_it_will_be_judged_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the largest size that both sides have, whatever comes last in the grid."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, sizes=(400, 100))
    path = form.folder / "study.yaml"
    claims = [{"claim": "good is faster than fair", "source": "made up"}]
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"claims": claims}))
    assert needed_by_claims(form, None) == {
        f"{model}-400-plain-{seed}" for model in ("good", "fair") for seed in (0, 1)
    }


def test_with_any_machine_the_times_of_others_are_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.studies.run.known.pace_of", lambda *asked: PACE)
    form = make_study(tmp_path, ("lenet_small",), (100,), more={"machines": "any"})
    write_cell(form, form.cells[0].name, "aaaa-1111")
    plan = plan_of(form)
    first, second = plan.planned
    assert first.state == FINISHED
    assert second.time is None or second.time.basis != "as with its other seeds"


def test_a_plan_tells_how_many_rehearsals_are_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two models have no cell to go by; sizes and seeds share a rehearsal, and a kept one is none.

    Where one cannot be measured its reason is told, and the plan goes on.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    asked: list[str] = []

    def measured(params: Params) -> Pace:
        asked.append(params.model)
        if params.model == "lenet_large" and len(asked) == 2:
            raise DataError("made to fail")
        return PACE

    monkeypatch.setattr("stages.studies.run.rehearsal.measured_pace", measured)
    form = make_study(tmp_path, ("lenet_small", "lenet_large"), (100, 200))
    params = {cell.name: form.params(cell) for cell in form.cells}
    said: list[str] = []
    about = known(pace=PACE)
    rehearsals = Rehearsals(form, params, about, said.append)
    estimates = [
        estimate(cell, params[cell.name], replace(about, pace=rehearsals.pace))
        for cell in form.cells
    ]
    assert said[0] == "1 of 2: measuring a step of lenet_small at 32 px …"
    assert said[1].startswith("2 of 2: measuring a step of lenet_large at 32 px, about ")
    assert said[1].endswith(" to go …")
    assert said[2] == "lenet_large: made to fail"
    assert asked[:2] == ["lenet_small", "lenet_large"]
    assert estimates[0] is not None
    assert Rehearsals(form, params, about, said.append).pace(params[form.cells[0].name]) == PACE


def test_another_machine_is_named_as_such() -> None:
    elsewhere = [found(size="full", cell_seconds=40.0)]
    answer = estimate(CELL, params(), known(elsewhere=elsewhere))
    assert answer == Estimate(40.0, "as on another machine")
    assert estimate(CELL, params(), known(found("fair"))) is None
