"""Learning curves and advice on runs whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.studies.analysis.advice import NONE_YET, advise
from stages.studies.analysis.machine_results import MachineResults, front
from stages.studies.analysis.network_costs import of_networks
from stages.studies.analysis.reading import read_results
from stages.studies.analysis.scaling import fit, leave_out_largest
from stages.studies.page.album import bands
from stages.studies.page.cautions import cautions
from stages.studies.page.size_tables import images_told, sample_table, winner_beyond
from tests.studies.samples import fill, make_study, write_cell


def curve_runs(a: float, b: float, noise: float = 0.0) -> pd.DataFrame:
    draws = np.random.default_rng(0)
    rows = [
        (n, 1 - a * n**-b * np.exp(noise * draws.standard_normal()))
        for n in (100, 200, 400, 800)
        for _ in range(3)
    ]
    return pd.DataFrame(rows, columns=["train_images", "top1"]).assign(test_images=10**6)


@given(st.floats(0.1, 0.9), st.floats(0.5, 1.2))
def test_a_power_law_is_found_again(b: float, a: float) -> None:
    curve = fit(curve_runs(a, b), "top1")
    assert curve is not None
    assert curve.exponent == pytest.approx(b)
    assert curve.accuracy(1600)[0] == pytest.approx(1 - a * 1600**-b)


def test_images_until_a_target_are_where_the_curve_reaches_it() -> None:
    curve = fit(curve_runs(1.2, 0.3, noise=0.02), "top1")
    assert curve is not None
    expected, fewest, most = curve.images_for(0.9)
    assert expected is not None
    assert fewest is not None
    assert most is not None
    assert fewest < expected < most
    assert curve.accuracy(expected)[0] == pytest.approx(0.9)


def test_leaving_out_the_largest_size_predicts_it() -> None:
    check = leave_out_largest(curve_runs(1.2, 0.3, noise=0.02), "top1")
    assert check is not None
    assert check.images == 800
    assert check.inside


def test_runs_without_a_mistake_count_as_half_of_one() -> None:
    rows = [(10, 0.5), (10, 0.6), (20, 0.7), (20, 0.72), (40, 1.0), (40, 1.0)]
    runs = pd.DataFrame(rows, columns=["train_images", "top1"]).assign(test_images=100)
    curve = fit(runs, "top1")
    assert curve is not None
    assert curve.largest == 40
    check = leave_out_largest(runs, "top1")
    assert check is not None
    assert check.measured == 1


def test_a_network_has_one_cost_whatever_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, sizes=(100,), seeds=1, recipes={"plain": {}, "other": {}})
    fill(form)
    cells = read_results(form).cells
    known = {
        "machine": "a", "model": ["x", "x", "y"], "input_px": 32, "latency_batch_size": 1,
        "throughput_batch_size": 64, "latency_ms_p50": [1.0, 3.0, 5.0], "latency_ms_p95": 6.0,
        "throughput_images_per_second": [10.0, 20.0, 5.0], "peak_memory_mb": 7.0,
        "latency_spread": [0.1, 0.2, 0.3], "latency_note": None,
    }  # fmt: skip
    found = of_networks(pd.DataFrame(known))
    assert list(found["latency_ms_p50"]) == [2.0, 2.0, 5.0]
    assert list(found["throughput_images_per_second"]) == [15.0, 15.0, 5.0]
    assert list(found["latency_spread"]) == pytest.approx([1.0, 1.0, 0.3])
    assert list(found["latency_note"]) == [*["noisy: 2 measurements span 100%"] * 2, None]
    assert cells.groupby("model")["latency_ms_p50"].nunique().max() == 1


def test_too_few_sizes_give_no_curve() -> None:
    assert fit(curve_runs(1, 0.3).query("train_images == 100"), "top1") is None


def test_the_front_holds_what_nothing_beats_in_both() -> None:
    points = pd.DataFrame({"mean": [0.9, 0.8, 0.7, 0.6], "ms": [9.0, 4.0, 5.0, 1.0]})
    assert front(points, "ms").tolist() == [True, True, False, True]


def test_advice_that_rests_on_a_noisy_latency_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100,))
    fill(form)
    results = read_results(form)
    for span in (0.1, 3.0):
        cells = results.cells.assign(latency_spread=span)
        advice = advise(MachineResults(form, replace(results, cells=cells), "aaaa-1111"))
        told = {one.use for one in advice if "latencies too noisy to tell it" in one.certainty}
        assert told == ({"small devices", "balanced"} if span > 1 else set())


def test_of_level_latencies_a_small_device_gets_the_fewest_macs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100,))
    fill(form)
    results = read_results(form)
    good = results.cells["model"] == "good"
    for span, taken in ((0.01, "fair"), (3.0, "good")):
        cells = results.cells.assign(
            latency_ms_p50=np.where(good, 9.0, 8.0),
            macs_g=np.where(good, 1.0, 2.0),
            latency_spread=span,
            **{results.main: 0.8},
        )
        view = MachineResults(form, replace(results, cells=cells), "aaaa-1111")
        (advice,) = (one for one in advise(view) if one.use == "small devices")
        assert advice.series == taken


def test_a_small_device_gets_what_is_accurate_enough_and_hears_of_what_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With few test images a backbone was advised whose mean falls short."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100,))
    fill(form, images_per_class=3)
    results = read_results(form)
    faster = results.cells["model"] == "fair"
    cells = results.cells.assign(latency_ms_p50=np.where(faster, 1.0, 9.0), latency_spread=0.01)
    view = MachineResults(form, replace(results, cells=cells), "aaaa-1111")
    good, fair = (view.at(100).set_index("series")["mean"][name] for name in ("good", "fair"))
    assert fair < 0.9 * good
    (advice,) = (one for one in advise(view) if one.use == "small devices")
    assert advice.series == "good"
    assert "its mean reaches 90 % of the best; faster, and may reach it too: fair" in str(
        advice.certainty
    )


def test_a_curve_that_holds_even_chance_is_tied_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forecast of 0 to 89 % had been called tied with the best."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100, 200, 400))
    fill(form)
    results = read_results(form)
    cells, of_fair = results.cells, results.cells["model"] == "fair"
    error = cells["train_images"].astype(float) ** -0.3 * (1 + 0.001 * cells["seed"])
    bent = np.where(cells["train_images"] == 200, 1.6, 1.0) * (1 + 0.8 * cells["seed"])
    top1 = 1 - error * np.where(of_fair, bent, 1.0)
    view = MachineResults(form, replace(results, cells=cells.assign(test_top1=top1)), "aaaa-1111")
    assert winner_beyond(view) == (
        "At 800 images, which were not run, good is expected to lead with 87 %, ahead of all "
        "others that can be told; the curve of fair is too uncertain to say."
    )


def test_nothing_is_told_beyond_two_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes whose seeds agree lie on a line through any two sizes, with no error to tell of."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100, 400))
    fill(form)
    view = MachineResults(form, read_results(form), "aaaa-1111")
    table = sample_table(view, None)
    assert table is not None
    assert table.head == ("backbone", "points at the last doubling")
    told = "Nothing can be said beyond the sizes that were run: any curve fits two sizes."
    assert winner_beyond(view) == told
    assert bands(view) == {}


def test_advice_on_one_series_says_that_it_stands_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one series finished at the smallest size it is not ahead of all others."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100, 400))
    for cell in form.cells:
        if cell.size == "400" or cell.model == "good":
            write_cell(form, cell.name, "aaaa-1111")
    advice = {one.use: one for one in advise(MachineResults(form, read_results(form), "aaaa-1111"))}
    assert advice["small data"].certainty.startswith("only one has run at this size")
    assert not advice["balanced"].certainty.startswith("only one")


def test_runs_of_one_answer_are_named_and_nowhere_above_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constant answer's seeds agree to the bit, and it is still worth nothing."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100,))
    fill(form)
    results = read_results(form)
    constant = results.predictions.assign(predicted=0)
    cells = results.cells.assign(test_top1=0.2)
    view = MachineResults(form, replace(results, cells=cells, predictions=constant), "aaaa-1111")
    assert "good at 100 images: 2 of 2 runs give one answer for 100 % of images" in cautions(view)
    assert {one.series for one in advise(view)} == {NONE_YET}


def curves(values: dict[int, list[float]], target: float) -> str:
    rows = [(n, share) for n, shares in values.items() for share in shares]
    runs = pd.DataFrame(rows, columns=["train_images", "top1"]).assign(test_images=10_000)
    curve = fit(runs, "top1")
    assert curve is not None
    return images_told(curve, target, min(values))


def test_a_target_that_is_exceeded_already_is_not_beyond_reach() -> None:
    runs = {100: [0.985, 0.986], 200: [0.986, 0.987], 400: [0.988, 0.989]}
    assert curves(runs, 0.95) == "already at 100"
    assert curves(runs, 0.99).split()[1].startswith("(")


def test_a_band_that_leaves_the_sizes_that_were_run_says_so_without_a_number() -> None:
    noisy = {250: [0.15, 0.34], 500: [0.2, 0.25], 1000: [0.2, 0.4]}
    assert curves(noisy, 0.5).startswith("more than 10,000: too far to say")
    assert "(under 250 to more than 10,000)" in curves(noisy, 0.32)


@pytest.mark.parametrize(("bend", "doubted"), [(0.0, False), (0.3, True)])
def test_the_expected_winner_is_doubted_where_its_curve_missed_the_largest_size(
    bend: float, doubted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100, 200, 400))
    fill(form)
    results = read_results(form)
    cells = results.cells
    error = cells["train_images"].astype(float) ** -0.3 * (1 + 0.001 * cells["seed"])
    error *= 1 + bend * (cells["train_images"] == 400) + 0.5 * (cells["model"] == "fair")
    view = MachineResults(
        form, replace(results, cells=cells.assign(test_top1=1 - error)), "aaaa-1111"
    )
    told = winner_beyond(view)
    assert told is not None
    assert ("good is expected to lead" in told) != doubted
    assert ("missed good (" in told) == doubted
