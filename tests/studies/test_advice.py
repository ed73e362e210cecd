"""Nothing is advised, ranked or judged that is not surely above one answer to every image."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stages.studies.analysis.advice import NONE_YET, advise
from stages.studies.analysis.fine_tuning import fine_tuning
from stages.studies.analysis.judging import judge
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.reading import read_results
from stages.studies.analysis.results import Head, Problem, Results
from stages.studies.analysis.scaling import Doubt, fit
from stages.studies.analysis.spread import FITTED, NETWORK, pooled
from stages.studies.page.cautions import cautions
from stages.studies.page.page import page_view
from stages.studies.page.section import answer, leader_tile
from stages.studies.page.size_tables import images_told
from stages.studies.spec.study_config import StudyConfig
from stages.studies.spec.study_file import StudyFile
from stages.studies.spec.study_source import load_study_source
from tests.studies.samples import fill, make_study
from tests.studies.test_intervals import runs

MACHINE = "m"


@dataclass(frozen=True)
class MadeUp:
    """A series of runs: the share of images that it knows, guessing else or always saying 0."""

    skill: float
    constant: bool
    latency_ms: float


def made_view(
    series: Sequence[MadeUp], labels: Sequence[int], seeds: int, draw: int,
    base: Mapping[str, Any] | None = None,
) -> MachineResults:  # fmt: skip
    """A view of runs at one size that answered as their series do; no files are written."""
    draws = np.random.default_rng(draw)
    truth, answers = np.array(labels), [str(label) for label in range(max(labels) + 1)]
    rows, predicted = [], []
    for place, one in enumerate(series):
        for seed in range(seeds):
            known = draws.random(len(truth)) < one.skill
            guess = 0 if one.constant else draws.integers(len(answers), size=len(truth))
            said = np.where(known & (not one.constant), truth, guess)
            cell = f"m{place}-100-r-{seed}"
            rows.append({
                "cell": cell, "machine": MACHINE, "model": f"m{place}", "size": "100",
                "recipe": "r", "seed": seed, "status": "finished", "dataset": "d", "task": "t",
                "train_images": 100, "test_images": len(truth), "weights_hash": cell,
                "test_top1": float((said == truth).mean()), "params_total": 1e6 * (place + 1),
                "latency_ms_p50": one.latency_ms, "latency_spread": 0.01,
                "train_seconds": one.latency_ms * (1 + 0.01 * seed),
            })  # fmt: skip
            names = [f"i{i}" for i in range(len(truth))]
            predicted.append(pd.DataFrame({"machine": MACHINE, "cell": cell, "name": names,
                                           "label": truth, "predicted": said}))  # fmt: skip
    grid = {"models": [f"m{i}" for i in range(len(series))], "sizes": [100], "recipes": ["r"],
            "seeds": list(range(seeds))}  # fmt: skip
    values = {"grids": {"g": grid}, "base": base or {}, "recipes": {"r": {}}}
    file = StudyFile.model_validate(values)
    results = Results(pd.DataFrame(rows), pd.DataFrame(), pd.concat(predicted),
                      {MACHINE: {"chip": "made-up chip"}}, {},
                      {Problem("d", "t", tuple(answers)): Head(["top1"], answers)})  # fmt: skip
    return MachineResults(StudyConfig("made", Path("studies/made"), file), results, MACHINE)


MADE_UP = st.builds(MadeUp, st.floats(0, 0.6), st.booleans(), st.floats(0.5, 50))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(MADE_UP, min_size=2, max_size=4),
    st.lists(st.integers(0, 3), min_size=30, max_size=200).filter(lambda some: max(some) > 0),
    st.integers(1, 3),
    st.integers(0, 1000),
)
def test_no_table_leads_to_advice_that_one_answer_might_match(
    series: list[MadeUp], labels: list[int], seeds: int, draw: int
) -> None:
    """Recomputed from the answers: the error of the images alone must lie above, and it learns."""
    view = made_view(series, labels, seeds, draw)
    best_constant = max(labels.count(label) for label in labels) / len(labels)
    answers = view.results.predictions
    right = (answers["label"] == answers["predicted"]).astype(float)
    model = answers["cell"].str.split("-").str[0]
    shares = right.groupby([model, answers["name"]]).mean()
    sure = set()
    for name, share in shares.groupby(level=0):
        if share.mean() - 1.96 * share.std(ddof=0) / np.sqrt(len(labels)) > best_constant:
            sure.add(str(name))
    assert not {f"m{i}" for i, one in enumerate(series) if one.constant} & sure
    given_advice = {one.series for one in advise(view)} | {leader_tile(view).value}
    assert given_advice - {NONE_YET} <= sure
    assert set(view.ranked(100)["series"]) <= sure
    for one in advise(view):
        assert (one.series == NONE_YET) == one.figures.startswith("because no mean")


def test_rankings_and_advice_are_of_a_size_that_most_ran() -> None:
    """Of five series one alone ran the larger size: it is best there, and no answer."""
    series = [MadeUp(skill, constant=False, latency_ms=1.0) for skill in (0.2, 0.9, 0.8, 0.7, 0.6)]
    view = made_view(series, list(range(4)) * 50, 2, 0)
    cells, told = view.results.cells, view.results.predictions

    def with_larger(*models: str) -> MachineResults:
        larger = cells[cells["model"].isin(models)]
        names = {cell: cell.replace("-100-", "-200-") for cell in larger["cell"]}
        again = larger.assign(train_images=200, size="200", cell=larger["cell"].map(names))
        answers = told[told["cell"].isin(list(names))]
        every = replace(
            view.results,
            cells=pd.concat([cells, again], ignore_index=True),
            predictions=pd.concat([told, answers.assign(cell=answers["cell"].map(names))]),
        )
        return replace(view, results=every)

    few, most = with_larger("m0", "m2"), with_larger("m0", "m1", "m2")
    assert (few.main_size, most.main_size) == (100, 200)
    assert leader_tile(few).label.endswith("at 100 images")
    assert leader_tile(few).value == "m1"
    assert (
        "Places, costs and advice are of 100 images, at which 5 series ran, at 200 2"
        in cautions(few)
    )
    assert not [told for told in cautions(most) if told.startswith("Places")]


def test_one_slow_run_among_quick_ones_counts_as_much_as_on_the_rest_of_the_page() -> None:
    """By the median the first would be the quickest; the page shows geometric means."""
    view = made_view([MadeUp(0.9, False, 1.0)] * 2, list(range(4)) * 50, 3, 0)
    timed = view.results.cells.assign(train_seconds=[10.0, 10.0, 1000.0, 20.0, 20.0, 20.0])
    advice = advise(replace(view, results=replace(view.results, cells=timed)))
    (quick,) = [one for one in advice if one.use == "quick experiments"]
    assert (quick.series, quick.figures.partition(" per ")[0]) == ("m1", "20 s")


@pytest.mark.parametrize(
    ("seconds", "quickest"),
    [([10.0, 100.0, 1000.0], "m0"), ([100.0, 101.0, 102.0], "m1")],
)
def test_of_times_that_cannot_be_told_apart_the_most_accurate_is_taken(
    seconds: list[float], quickest: str
) -> None:
    """A stall of one training had made a worse backbone the one for quick experiments."""
    view = made_view([MadeUp(0.9, False, 1.0), MadeUp(0.7, False, 1.0)], list(range(4)) * 50, 3, 0)
    timed = view.results.cells.assign(train_seconds=[*seconds, 60.0, 61.0, 62.0])
    advice = advise(replace(view, results=replace(view.results, cells=timed)))
    (quick,) = [one for one in advice if one.use == "quick experiments"]
    assert quick.series == quickest


def test_what_is_worth_fine_tuning_is_said_of_backbones_that_learned_alone() -> None:
    labels = list(range(4)) * 50
    probes = {"finetune": "probe", "pretrained": True}
    dull, bright = MadeUp(0.0, True, 1.0), MadeUp(0.6, False, 1.0)
    (none,) = fine_tuning(made_view([dull, dull], labels, 2, 0, probes))
    assert (none.series, none.figures) == (
        NONE_YET,
        "because no mean with 100 images is surely above 25.0 %, the score of one answer to every "
        "image",
    )
    (one,) = fine_tuning(made_view([bright, dull], labels, 2, 0, probes))
    assert one.series == "m0"
    assert one.figures == "only m0 is surely above one answer to every image at 100 images"
    assert "'model=m0'" in one.commands[0]
    assert "m1" not in " ".join(one.commands)
    alone, caution = one.certainty.split("; ", 1)
    assert alone == "there is no second to hold it against"
    assert caution.startswith("in studies/transfer fine-tuning cost accuracy with 50 images")
    assert fine_tuning(made_view([bright, dull], labels, 2, 0)) == []  # these are no probes


def test_runs_that_tell_no_hash_repeat_none() -> None:
    view = made_view([MadeUp(0.6, False, 1.0)] * 2, list(range(4)) * 50, 2, 0)
    vars(view)["cells"] = view.cells.assign(model="m0", weights_hash=None)  # two series of one
    assert view.repeated == {}


def test_of_unequal_classes_balanced_accuracy_is_told_where_accuracy_shows_nothing() -> None:
    """A training that weighs classes alike is often below one answer to every image."""
    view = made_view([MadeUp(0.4, False, 1.0)] * 2, [0] * 180 + [1] * 10 + [2] * 10, 1, 0)
    assert "balanced" not in answer(view)
    cells = view.results.cells.assign(test_balanced_accuracy=[0.6, 0.772])
    uneven = replace(view, results=replace(view.results, cells=cells))
    told = (
        f"(balanced accuracy) the highest run, {cells['cell'].iloc[1]}, has 77.2 % and one answer "
        "to every image 33.3 %"
    )
    assert told in answer(uneven)
    assert told in " ".join(cautions(uneven))


def test_latencies_without_an_interval_are_not_taken_for_certain() -> None:
    view = made_view([MadeUp(0.9, False, ms) for ms in (1.0, 0.99)], list(range(4)) * 50, 2, 0)
    cells = view.results.cells.assign(latency_spread=None)
    advice = advise(replace(view, results=replace(view.results, cells=cells)))
    (low,) = [one for one in advice if one.use == "low latency"]
    assert "how latencies vary is not known beside m0: too few repeats were timed" in low.certainty


@pytest.mark.parametrize(
    ("learns", "told"),
    [(FITTED, "take more images first, to train or to test with"), (NETWORK, "for more epochs")],
)
def test_what_would_help_runs_at_chance_depends_on_what_is_trained(learns: str, told: str) -> None:
    """Probes have no epochs, and no seed moves them."""
    view = made_view([MadeUp(0.0, True, 1.0)] * 2, list(range(4)) * 50, 2, 0)
    cells = view.results.cells.assign(learns=learns)
    (one, *_) = advise(replace(view, results=replace(view.results, cells=cells)))
    assert one.series == NONE_YET
    assert told in one.certainty


def test_a_series_with_the_bits_of_another_is_named_and_no_further_backbone() -> None:
    """The same weights under two names had been called the only ones that ran, without a word."""
    probes = {"finetune": "probe", "pretrained": True}
    view = made_view([MadeUp(0.6, False, 1.0)] * 2, list(range(4)) * 50, 2, 0, probes)
    cells = view.results.cells
    first = cells[cells["model"] == "m0"]
    twin = first.assign(model="m0", recipe="file", cell=[f"{cell}-file" for cell in first["cell"]])
    form = replace(
        view.form, file=view.form.file.model_copy(update={"recipes": {"r": {}, "f": {}}})
    )
    answers = view.predictions[view.predictions["cell"].isin(first["cell"])]
    again = answers.assign(cell=answers["cell"] + "-file")
    results = replace(
        view.results,
        cells=pd.concat([first, twin], ignore_index=True),
        predictions=pd.concat([answers, again], ignore_index=True),
    )
    view = MachineResults(form, results, MACHINE)
    assert view.repeated == {"m0 file": "m0 r"}
    assert view.at(100)["series"].tolist() == ["m0 r"]
    told = "m0 file gives the bits of m0 r again: it is shown in the results, and is no further"
    assert cautions(view)[0].startswith(told)


def test_runs_that_guess_are_rarely_taken_for_runs_that_know() -> None:
    """At 95 % two-sided, one in forty guessing series may pass for surely better."""
    labels = [i % 4 for i in range(200)]
    guessing = [MadeUp(0.0, False, 1.0)] * 4
    passed = [made_view(guessing, labels, 2, draw).main["learned"].mean() for draw in range(60)]
    assert np.mean(passed) < 0.05
    knowing = [MadeUp(0.4, False, 1.0), MadeUp(0.5, False, 2.0)]
    assert made_view(knowing, labels, 2, 0).main["learned"].all()


def test_one_answer_to_all_images_is_left_out_of_the_pooled_spread() -> None:
    """Ten runs that agree because they say one thing say nothing of how seeds differ."""
    values = {"a": [0.40, 0.44], "dull": [0.1] * 5, "duller": [0.1] * 5, "mixed": [0.1, 0.5]}
    cells = runs(values)
    names = [cell for cell in cells["cell"] if cell.startswith("dull")] + ["mixed-0"]
    constant = [("m", cell) for cell in names]
    elsewhere = [("another", cell) for cell in names]
    assert pooled(cells, cells["test_top1"], elsewhere).pools[NETWORK].sd == pytest.approx(0.0)
    assert pooled(cells, cells["test_top1"]).pools[NETWORK].sd == pytest.approx(0.0)
    found = pooled(cells, cells["test_top1"], constant)
    pool = found.pools[NETWORK]
    assert pool.sd == pytest.approx(np.std(values["a"], ddof=1))
    assert pool.dof == 1
    mixed = next(group for group in found.own if group[1] == "mixed")
    t = stats.t.ppf(0.975, 1)  # its seeds do differ
    assert found.half_width(mixed) == pytest.approx(t * np.std(values["mixed"], ddof=1))
    only = pooled(cells, cells["test_top1"], [("m", cell) for cell in cells["cell"]])
    assert only.pools[NETWORK].sd is None
    assert only.half_width(mixed) is not None


@given(st.floats(0.05, 0.6), st.floats(0.01, 0.6), st.floats(0.2, 0.95), st.integers(0, 99))
def test_no_number_beyond_ten_times_the_data_is_printed(
    a: float, b: float, target: float, draw: int
) -> None:
    draws = np.random.default_rng(draw)
    sizes = np.repeat([250, 500, 1000], 2)
    shares = 1 - (1 - a) * (sizes / 250.0) ** -b * np.exp(0.02 * draws.standard_normal(6))
    table = pd.DataFrame({"train_images": sizes, "test_images": 10_000, "top1": shares})
    curve = fit(table, "top1", Doubt(seeds=0.03, images=0.02))
    assert curve is not None
    told = images_told(curve, target, 250)
    numbers = [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*", told)]
    assert all(number <= 10_000 for number in numbers)


def test_two_pairs_on_a_line_by_chance_do_not_make_a_curve_sure() -> None:
    table = pd.DataFrame({"train_images": [250, 250, 500, 500], "top1": [0.2, 0.2, 0.28, 0.28]})
    table = table.assign(test_images=2000)
    sure, honest = fit(table, "top1"), fit(table, "top1", Doubt(seeds=0.04, images=0.02))
    assert sure is not None
    assert honest is not None
    _, low, high = honest.accuracy(500)
    assert high - low > 0.04 > np.ptp(sure.accuracy(500)[1:])


@pytest.fixture
def dull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StudyConfig, Results]:
    """A study whose runs at 100 images, and those of `fair` anywhere, say one thing to all."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100, 400))
    fill(form)
    results = read_results(form)
    names = results.predictions["cell"]
    dull = names.str.startswith("fair") | names.str.contains("-100-")
    predicted = results.predictions["predicted"].where(~dull, 0)
    cells = results.cells
    learned = cells["cell"].str.startswith("good-400")
    cells = cells.assign(test_top1=cells["test_top1"].where(learned, 0.2))
    return form, replace(results, cells=cells,
                         predictions=results.predictions.assign(predicted=predicted))  # fmt: skip


def test_the_tile_says_none_yet_and_why(dull: tuple[StudyConfig, Results]) -> None:
    form, results = dull
    view = page_view(form, load_study_source(form), results)
    tiles = {tile.label: tile for tile in view["tiles"]}
    assert tiles["small data"].value == NONE_YET
    assert tiles["small data"].detail == (
        "because no mean with 100 images is surely above 20.0 %, the score of one answer to every "
        "image"
    )
    assert tiles["best at 400 images"].value == "good"
    part = view["sections"][0]
    assert [row[0] for row in part["rankings"][0].rows] == ["1", "–"]
    assert part["classes"].head == ("class", "good")
    assert {row[:2] for row in part["gaps"].rows} == {("good", "400")}
    advice = {one.use: one for one in part["advice"]}
    assert "train on more images or for more epochs" in advice["small data"].certainty
    assert advice["low latency"].certainty == "the only one surely above one answer to every image"


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        ("good beats fair at 400", "not judged"),
        ("good overfits less than fair at 400", "not judged"),
        ("fair reaches 90 % at 400", "not judged"),
        ("good reaches 30 % at 400", "holds"),
        ("fair trains faster than good at 400", "holds"),
    ],
)
def test_accuracies_at_chance_are_not_judged(
    claim: str, status: str, dull: tuple[StudyConfig, Results]
) -> None:
    form, results = dull
    verdict = judge(claim, form, results, "aaaa-1111")
    assert verdict.status == status
    if status == "not judged":
        assert verdict.told.startswith("because fair with 400 images (20.0 ± ")
        assert verdict.told.endswith("surely above 20.0 %, the score of one answer to every image")
