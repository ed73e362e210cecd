"""Intervals, learning curves, verdicts and advice on runs whose answer is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.studies.advice import advise
from stages.studies.claims import judge
from stages.studies.intervals import pooled, summarize, tied_with_best
from stages.studies.results import read_results
from stages.studies.scaling import fit, leave_out_largest
from stages.studies.table import View, front
from tests.studies.samples import fill, make_study


def runs(values: dict[str, list[float]], images: int = 100) -> pd.DataFrame:
    rows = [
        ("m", model, str(images), "r", images, 1000, value)
        for model, found in values.items()
        for value in found
    ]
    columns = ["machine", "model", "size", "recipe", "train_images", "test_images", "top1"]
    return pd.DataFrame(rows, columns=columns)


def test_the_spread_is_pooled_within_groups_only() -> None:
    spread = pooled(runs({"a": [0.1, 0.3], "b": [0.8, 1.0]}), "top1")
    assert spread.freedom == 2
    assert spread.sd == pytest.approx(np.sqrt(0.02))


def test_overlapping_intervals_are_tied_and_distant_ones_are_not() -> None:
    table = summarize(runs({"a": [0.80, 0.82], "b": [0.79, 0.81], "c": [0.2, 0.22]}), "top1")
    assert tied_with_best(table).tolist() == [True, True, False]


def test_one_seed_gives_the_interval_of_the_test_images() -> None:
    spread = pooled(runs({"a": [0.5]}), "top1")
    assert spread.freedom == 0
    assert spread.reach(1) == pytest.approx(1.96 * np.sqrt(0.25 / 1000), rel=1e-3)


def curve_runs(a: float, b: float, noise: float = 0.0) -> pd.DataFrame:
    draws = np.random.default_rng(0)
    rows = [
        (n, 1 - a * n**-b * np.exp(noise * draws.standard_normal()))
        for n in (100, 200, 400, 800)
        for _ in range(3)
    ]
    return pd.DataFrame(rows, columns=["train_images", "top1"])


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
    for note in (None, "noisy"):
        cells = results.cells.assign(latency_note=note)
        advice = advise(View(form, replace(results, cells=cells), "aaaa-1111"))
        told = {one.use for one in advice if "latency was noisy" in one.certainty}
        assert told == ({"small devices", "balanced"} if note else set())


@pytest.mark.parametrize(
    ("spread", "status"), [(0.1, "holds"), (1.5, "too few runs"), (None, "too few runs")]
)
def test_a_latency_that_all_seeds_share_is_no_sure_figure(
    spread: float | None, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of a model share one measurement: equal figures are not three that agree."""
    monkeypatch.chdir(tmp_path)
    form = make_study(tmp_path, models=("good", "fair"), sizes=(100,))
    fill(form)
    results = read_results(form)
    if spread is not None:
        results = replace(results, cells=results.cells.assign(latency_spread=spread))
    verdict = judge("fair is faster than good", form, results, "aaaa-1111")
    assert verdict.status == status
    assert verdict.told.startswith("5 ms against 20 ms")
    assert len(verdict.cells) == 4
