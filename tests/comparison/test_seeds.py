"""Several seeds on each machine: paired, no surer than the test images, and how many would do."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.comparison.analysis.seeds import (
    compare_seeds,
    reach_of_mean,
    seeds_needed,
    tost_power,
)
from stages.comparison.analysis.statistics import ALPHA, paired_error, shared_error
from stages.comparison.page.needed import needed_of_seeds


def test_seeds_are_paired() -> None:
    spread = [0.90, 0.92, 0.91, 0.93]
    found = compare_seeds(spread, [value + 0.001 for value in spread], 0.005, [0.0005] * 4)
    assert found is not None
    assert found.difference == pytest.approx(0.001)
    assert found.sd < found.sd_within
    assert found.equivalent
    assert compare_seeds([0.9], [0.9], 0.005) is None


def test_equal_differences_of_two_seeds_prove_nothing() -> None:
    """0.4 points twice: what 40 images of 10,000 do by chance spreads more than that."""
    error = paired_error(0, 40, 10_000)
    found = compare_seeds([0.95, 0.96], [0.954, 0.964], 0.005, [error, error])
    assert found is not None
    assert found.low < 0 < found.high
    assert not found.equivalent
    assert compare_seeds([0.95, 0.96], [0.954, 0.964], 0.005) is None


@pytest.mark.parametrize(("images", "equivalent"), [(100, False), (10_000, True)])
def test_seeds_without_any_difference_are_as_sure_as_their_images(
    images: int, equivalent: bool
) -> None:
    error = paired_error(0, 0, images)
    found = compare_seeds([0.9, 0.91, 0.92], [0.9, 0.91, 0.92], 0.005, [error] * 3)
    assert found is not None
    assert found.difference == 0
    assert found.high - found.low > 0
    assert found.equivalent == equivalent


def test_enough_seeds_are_not_told_to_be_too_few() -> None:
    """A real difference of 0.4 points is not shown to be within 0.5, however many seeds."""
    noise = np.random.default_rng(0).normal(0, 0.002, 20)
    a = np.full(20, 0.9)
    found = compare_seeds(list(a), list(a + 0.005 + noise), 0.005)
    assert found is not None
    assert not found.equivalent
    assert found.needed is None
    assert found.differ
    assert not found.beyond_margin


@pytest.mark.parametrize(
    ("sd", "margin", "runs"),
    [(0.15, 0.1, 40), (0.15, 0.2, 11), (0.25, 0.1, 108), (0.25, 0.2, 28), (0.25, 0.3, 13)],
)
def test_power_against_known_sizes_of_two_unpaired_groups(
    sd: float, margin: float, runs: int
) -> None:
    powers = [tost_power(sd * (2 / n) ** 0.5, 2 * n - 2, margin) for n in (runs - 1, runs)]
    assert powers[0] < 0.8 <= powers[1]


def test_power_is_that_of_the_test_that_is_made() -> None:
    """At the number of seeds that is said to do, four of five trials show equivalence."""
    sd, margin = 0.003, 0.002
    needed = seeds_needed(sd, margin)
    assert needed is not None
    draws = np.random.default_rng(1).normal(0, sd, (4000, needed))
    means, reach = draws.mean(1), reach_of_mean(draws.std(1, ddof=1), needed, 0.0, ALPHA)
    assert 0.78 < np.mean(np.abs(means) + reach < margin) < 0.86


@pytest.mark.parametrize("seeds", [2, 3, 6])
@pytest.mark.parametrize("shared", [0.0, 0.15, 0.3, 1.0, 2.0])
def test_intervals_miss_no_more_than_one_in_twenty(seeds: int, shared: float) -> None:
    """Whatever images leave open beside seeds that spread by 1."""
    random = np.random.default_rng(2)
    draws = random.normal(0, 1, (20_000, seeds)) + random.normal(0, shared, (20_000, 1))
    sd = np.maximum(draws.std(1, ddof=1), shared)
    missed = np.abs(draws.mean(1)) > reach_of_mean(sd, seeds, shared, ALPHA / 2)
    assert np.mean(missed) < 0.055


def test_p_and_power_go_with_the_interval() -> None:
    """The margin up to which p is below 5 % is where an interval of 90 % ends."""
    a, b, shared = [0.9, 0.91, 0.92], [0.902, 0.911, 0.924], 0.001
    found = compare_seeds(a, b, 0.005, [], shared)
    assert found is not None
    edge = abs(found.difference) + float(reach_of_mean(found.sd, 3, shared, ALPHA))
    inside, outside = (compare_seeds(a, b, edge * part, [], shared) for part in (1.001, 0.999))
    assert inside is not None
    assert outside is not None
    assert inside.equivalent
    assert not outside.equivalent
    needed = seeds_needed(0.003, 0.005, shared)
    assert needed is not None
    assert needed > (seeds_needed(0.003, 0.005) or 0)
    powers = [tost_power(0.003 / n**0.5, n - 1, 0.005, shared) for n in (needed - 1, needed)]
    assert powers[0] < 0.8 <= powers[1]


def test_seeds_needed_has_ends() -> None:
    assert seeds_needed(0.0, 0.1) == 2
    assert seeds_needed(100.0, 0.001) is None


@settings(max_examples=10, deadline=None)
@given(st.floats(0.05, 2.0), st.floats(0.5, 3.0), st.integers(2, 40))
def test_power_is_a_probability_and_grows_with_the_margin(
    sd: float, margin: float, seeds: int
) -> None:
    power = tost_power(sd / seeds**0.5, seeds - 1, margin)
    assert -1e-9 <= power <= 1 + 1e-9
    assert tost_power(sd / seeds**0.5, seeds - 1, 1.5 * margin) >= power - 1e-6


def answers(right: np.ndarray) -> pd.DataFrame:
    """What `align` gives of two runs, of which the first has all images right."""
    table = pd.DataFrame({"name": np.arange(len(right)), "label_a": 1, "label_b": 1})
    return table.assign(predicted_a=1, predicted_b=right.astype(int))


def test_images_that_all_seeds_get_wrong_are_not_averaged_out() -> None:
    """25 of 5,000, at the margin, in each of ten seeds; as many others in each are less."""
    wrong = np.arange(5000) < 25
    alike = [answers(~wrong)] * 10
    apart = [answers(~np.roll(wrong, 25 * seed)) for seed in range(10)]
    errors = [paired_error(25, 0, 5000)] * 10
    assert shared_error(alike) == pytest.approx(paired_error(25, 0, 5000), rel=0.1)
    assert shared_error(apart) == pytest.approx(paired_error(0, 0, 5000))
    for margin, equivalent in ((0.005, False), (0.0075, True)):
        found = compare_seeds([1.0] * 10, [0.995] * 10, margin, errors, shared_error(alike))
        assert found is not None
        assert found.equivalent is equivalent


def test_too_few_images_are_not_made_good_by_seeds() -> None:
    """Of 359 that all answer alike, 0.5 % wrong ones elsewhere are missed with 17 % (0.995^359)."""
    same = [0.9] * 5
    shared = shared_error([answers(np.ones(359, bool))] * 5)
    found = compare_seeds(same, same, 0.005, [paired_error(0, 0, 359)] * 5, shared)
    assert found is not None
    assert not found.equivalent
    assert found.needed is None
    assert needed_of_seeds(found) == "on these test images no number of seeds shows equivalence"
