"""Paired statistics: known values, symmetry, and the planning of runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.comparison.statistics import (
    align,
    compare_answers,
    compare_classes,
    compare_seeds,
    exact_mcnemar,
    paired_difference,
    runs_needed,
    tost_power,
)
from tests.comparison.made import predictions

counts = st.integers(0, 200)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert exact_mcnemar(0, 0) == 1.0
    assert exact_mcnemar(5, 0) == pytest.approx(2 / 32)
    assert exact_mcnemar(10, 1) == pytest.approx(2 * (1 + 11) / 2**11)


@given(counts, counts, st.integers(400, 5000))
def test_the_difference_changes_sign_with_the_order(only_a: int, only_b: int, n: int) -> None:
    one, error = paired_difference(only_a, only_b, n)
    other, same_error = paired_difference(only_b, only_a, n)
    assert one == -other
    assert error == pytest.approx(same_error)
    assert error > 0


def test_the_interval_of_paired_shares_keeps_its_promise() -> None:
    generator = np.random.default_rng(0)
    p_a, p_b, n, covered, trials = 0.03, 0.05, 400, 0, 1000
    for _ in range(trials):
        only_a, only_b, _ = generator.multinomial(n, [p_a, p_b, 1 - p_a - p_b])
        difference, error = paired_difference(only_a, only_b, n)
        covered += abs(difference - (p_b - p_a)) < 1.96 * error
    assert 0.93 < covered / trials < 0.975


def test_equal_answers_are_equivalent_only_when_there_are_enough_images() -> None:
    few = compare_answers(predictions(), predictions(), margin=0.005)
    many = compare_answers(predictions(9000, 10_000), predictions(9000, 10_000), margin=0.005)
    assert few is not None and many is not None  # noqa: PT018
    assert (few.churn, few.difference, few.mcnemar_p) == (0.0, 0.0, 1.0)
    assert not few.equivalent
    assert many.equivalent


def test_a_large_difference_lies_beyond_the_margin() -> None:
    found = compare_answers(predictions(900, 1000), predictions(900, 1000, moved=100), 0.01)
    assert found is not None
    assert found.difference == pytest.approx(-0.1)
    assert (found.only_a, found.only_b, found.churn) == (100, 0, 0.1)
    assert found.beyond_margin
    assert not found.equivalent


def test_images_are_paired_by_name_in_any_order() -> None:
    shuffled = predictions(moved=5).sample(frac=1, random_state=0)
    found = compare_answers(predictions(), shuffled, 0.01)
    assert found is not None
    assert found.churn == 0.05
    assert len(align(predictions(), shuffled.head(30))) == 30


def test_no_shared_image_is_no_answer() -> None:
    others = predictions().assign(name=lambda table: "other/" + table["name"])
    assert compare_answers(predictions(), others, 0.01) is None


def test_classes_name_the_one_that_suffers() -> None:
    table = predictions(right=2000, images=2000)
    worse = table.copy()
    worse.loc[(worse["label"] == 1) & (worse.index < 200), "predicted"] = 0
    classes = compare_classes(table, worse).set_index("label")
    assert classes.loc[0, "difference"] == 0
    assert classes.loc[1, "difference"] == pytest.approx(-0.1)
    assert classes.loc[1, "p_adjusted"] < 1e-6


def test_seeds_are_paired() -> None:
    spread = [0.90, 0.92, 0.91, 0.93]
    found = compare_seeds(spread, [value + 0.001 for value in spread], margin=0.005)
    assert found is not None
    assert found.difference == pytest.approx(0.001)
    assert found.sd < 1e-9 < found.sd_within
    assert found.tost_p < 0.05
    assert compare_seeds([0.9], [0.9], 0.005) is None


def test_seeds_without_any_difference_are_equivalent() -> None:
    found = compare_seeds([0.9, 0.91], [0.9, 0.91], 0.005)
    assert found is not None
    assert (found.difference, found.tost_p) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("sd", "margin", "runs"),
    [(0.15, 0.1, 40), (0.15, 0.2, 11), (0.25, 0.1, 108), (0.25, 0.2, 28), (0.25, 0.3, 13)],
)
def test_runs_needed_per_machine(sd: float, margin: float, runs: int) -> None:
    assert runs_needed(sd, margin) == runs
    assert tost_power(sd, margin, runs) >= 0.8 > tost_power(sd, margin, runs - 1)


def test_runs_needed_has_ends() -> None:
    assert runs_needed(0.0, 0.1) == 2
    assert runs_needed(100.0, 0.001) is None


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 2.0), st.floats(0.5, 3.0), st.integers(2, 40))
def test_power_is_a_probability_and_grows_with_the_margin(
    sd: float, margin: float, runs: int
) -> None:
    power = tost_power(sd, margin, runs)
    assert -1e-9 <= power <= 1 + 1e-9
    assert tost_power(sd, 1.5 * margin, runs) >= power - 1e-6
