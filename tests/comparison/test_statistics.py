"""Paired statistics of two models' answers: known values and symmetry."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stages.comparison.analysis.statistics import (
    ALPHA,
    align,
    compare_answers,
    compare_classes,
    exact_mcnemar,
    paired_error,
    paired_interval,
    paired_tost,
)
from tests.comparison.made import predictions

counts = st.integers(0, 200)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    assert exact_mcnemar(0, 0) == 1.0
    assert exact_mcnemar(5, 0) == pytest.approx(2 / 32)
    assert exact_mcnemar(10, 1) == pytest.approx(2 * (1 + 11) / 2**11)


@given(counts, counts, st.integers(400, 5000))
def test_the_difference_changes_sign_with_the_order(only_a: int, only_b: int, n: int) -> None:
    low, high = paired_interval(only_a, only_b, n)
    assert paired_interval(only_b, only_a, n) == pytest.approx((-high, -low))
    assert low < (only_b - only_a) / n < high
    assert paired_error(only_a, only_b, n) == pytest.approx(paired_error(only_b, only_a, n))
    assert paired_tost(only_a, only_b, n, 0.01) == pytest.approx(
        paired_tost(only_b, only_a, n, 0.01)
    )


def test_the_interval_is_the_published_one() -> None:
    """Airways before and after a transplant, 21 children: Fagerland, Lydersen & Laake (2014)."""
    assert paired_interval(7, 1, 21) == pytest.approx((-0.517, -0.026), abs=0.0005)


@pytest.mark.parametrize("n", [1, 44])
def test_intervals_end_at_all_images(n: int) -> None:
    assert paired_interval(0, n, n)[1] == 1.0
    assert paired_interval(n, 0, n)[0] == -1.0
    low, high = paired_interval(0, 0, n)
    assert low == pytest.approx(-high)
    assert -1 < low < 0


@pytest.mark.parametrize("images", [360, 800, 2000])
@pytest.mark.parametrize("only_a", [0.0, 0.0005, 0.002])
def test_runs_at_the_margin_are_seldom_called_equivalent(images: int, only_a: float) -> None:
    """The test's level, summed over all outcomes that are likelier than one in a billion."""
    margin = 0.005
    shares = only_a, only_a + margin
    level = 0.0
    for discordant in range(int(images * sum(shares)) + 60):
        chance = stats.binom.pmf(discordant, images, sum(shares))
        for b in range(discordant + 1):
            own = chance * stats.binom.pmf(b, discordant, shares[1] / sum(shares))
            if own > 1e-9 and paired_tost(discordant - b, b, images, margin) < ALPHA:
                level += own
    assert level < 1.1 * ALPHA


def test_the_interval_of_paired_shares_keeps_its_promise() -> None:
    generator = np.random.default_rng(0)
    p_a, p_b, n, covered, trials = 0.03, 0.05, 400, 0, 1000
    for _ in range(trials):
        only_a, only_b, _ = generator.multinomial(n, [p_a, p_b, 1 - p_a - p_b])
        low, high = paired_interval(int(only_a), int(only_b), n)
        covered += low < p_b - p_a < high
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
    assert found.high < -found.margin
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
    worse.loc[(worse["label"] == "dog") & (worse.index < 200), "predicted"] = "cat"
    classes = compare_classes(table, worse).set_index("label")
    assert classes.loc["cat", "difference"] == 0
    assert classes.loc["dog", "difference"] == pytest.approx(-0.1)
    assert classes.loc["dog", "p_adjusted"] < 1e-6
