"""Spread, test images, intervals and ties on runs whose answer is known."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from stages.studies.analysis.answers import ImageErrors, constant_runs, image_errors, label_shares
from stages.studies.analysis.intervals import (
    Estimate,
    Measured,
    latency_difference,
    summarize,
    tied_with,
)
from stages.studies.analysis.network_costs import log_span
from stages.studies.analysis.spread import FITTED, HEAD, NETWORK, pooled

NO_ANSWERS = ImageErrors("test_top1", [], np.zeros((0, 0)))
T = stats.t.ppf(0.975, 2)
Z = stats.norm.ppf(0.975)


def test_latencies_are_told_apart_by_the_spans_of_their_logarithms() -> None:
    wide, narrow = (
        pd.DataFrame({"latency_ms_p50": [ms], "latency_spread": [span]})
        for ms, span in ((8.0, 3.0), (2.0, 0.01))
    )
    found = latency_difference(wide, narrow)
    assert found.value == pytest.approx(math.log(4))
    assert found.half_width == pytest.approx(log_span(3.0) + log_span(0.01))
    assert found.open


def runs(
    values: dict[str, list[float]], column: str = "test_top1", images: int = 1000
) -> pd.DataFrame:
    rows = [
        ("m", model, "100", "r", f"{model}-{seed}", seed, 100, images, value)
        for model, found in values.items()
        for seed, value in enumerate(found)
    ]
    names = ["machine", "model", "size", "recipe", "cell", "seed", "train_images", "test_images"]
    return pd.DataFrame(rows, columns=[*names, column])


def measured(
    values: dict[str, list[float]], column: str = "test_top1", images: int = 1000
) -> Measured:
    return Measured(runs(values, column, images), column, NO_ANSWERS)


def answered(right: dict[str, NDArray[np.bool_]]) -> pd.DataFrame:
    """Predictions of two classes, where label 0 is right."""
    tables = [
        pd.DataFrame({"machine": "m", "cell": cell, "name": [f"i{i}" for i in range(len(found))],
                      "label": 0, "predicted": np.where(found, 0, 1)})
        for cell, found in right.items()
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def test_the_spread_is_pooled_within_groups_only() -> None:
    cells = runs({"a": [0.1, 0.3], "b": [0.8, 1.0]})
    spread = pooled(cells, cells["test_top1"])
    pool = spread.pools[NETWORK]
    assert pool.dof == 2
    assert pool.sd == pytest.approx(math.sqrt(0.02 / stats.chi2.median(1)))


def test_two_seeds_that_agree_by_luck_spread_as_their_answers_do() -> None:
    """One pair with the same accuracy once made the spread of every run zero."""
    right = {"a-0": np.arange(1000) < 600, "a-1": np.arange(1000) >= 400}
    cells = runs({"a": [0.6, 0.6]})
    found = Measured(cells, "test_top1", image_errors(answered(right), "test_top1"))
    assert pooled(cells, cells["test_top1"]).pools[NETWORK].sd == 0
    assert found.spread.pools[NETWORK].sd == pytest.approx(math.sqrt(0.8 / 1000 / 2))
    same = {"a-0": right["a-0"], "a-1": right["a-0"]}
    found = Measured(cells, "test_top1", image_errors(answered(same), "test_top1"))
    assert found.spread.pools[NETWORK].sd == pytest.approx(0.0)


def test_heads_fitted_at_once_say_nothing_of_how_trainings_differ() -> None:
    """Probes' seeds agree to 0.05 points and once gave trainings their narrow intervals."""
    cells = runs({
        "probe": [0.700, 0.701], "again": [0.6, 0.6], "third": [0.5, 0.5],
        "trained": [0.5, 0.56], "single": [0.6],
    })  # fmt: skip
    fitted = cells["model"].isin(["probe", "again", "third"])
    cells["learns"] = np.where(fitted, FITTED, NETWORK)
    found = Measured(cells, "test_top1", NO_ANSWERS)
    key = ("m", "single", "100", "r")
    trained = math.sqrt(2) * 0.03
    assert found.spread.half_width(key) == pytest.approx(stats.t.ppf(0.975, 1) * trained)
    assert found.spread.pools[FITTED].sd == pytest.approx(0.0)
    assert found.spread.pools[FITTED].dof == 3
    alone = Measured(cells[cells["model"] != "trained"], "test_top1", NO_ANSWERS)
    single, probes = (alone.cells[alone.cells["model"] == name] for name in ("single", "probe"))
    assert alone.seeds_told(probes)
    assert not alone.seeds_told(single, probes)
    filled = Measured(alone.cells, "test_top1", NO_ANSWERS, everywhere=cells)
    assert filled.spread.half_width(key) == found.spread.half_width(key)


def test_one_erratic_group_stretches_its_own_interval_alone() -> None:
    """Runs of 15.3 and 34.4 % once gave all groups ± 6.4 points, and lay outside their own."""
    found = measured({
        "resnet50": [0.336, 0.338], "convnext": [0.153, 0.344],
        "mobilenet": [0.161, 0.164], "vit": [0.298, 0.300],
    }, images=10**6)  # fmt: skip
    table = summarize(found).set_index("model")
    assert table.high["resnet50"] - table["mean"]["resnet50"] < 0.01
    assert table.low["convnext"] < 0.153
    assert table.high["convnext"] > 0.344
    assert [group[1] for group in found.spread.erratic] == ["convnext"]


def test_a_run_that_repeats_another_to_the_bit_is_no_further_run() -> None:
    cells = runs({"a": [0.1, 0.3], "b": [0.5, 0.52]})
    again = cells[cells["model"] == "a"].assign(recipe="again", cell=["again-0", "again-1"])
    both = pd.concat([cells, again], ignore_index=True).assign(weights_hash="same")

    def freedom() -> int:
        return pooled(both, both["test_top1"]).pools[NETWORK].dof

    assert freedom() == 2
    both.loc[both["cell"] == "again-1", "weights_hash"] = "another"
    assert freedom() == 2  # one run of the group is none to spread
    both.loc[both["recipe"] == "again", "weights_hash"] = "another"
    assert freedom() == 3


@pytest.mark.parametrize("seeds", [2, 3])
def test_intervals_of_equal_normal_groups_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    draws = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        values = {f"g{i}": list(draws.standard_normal(seeds)) for i in range(9)}
        table = summarize(measured(values, "gap_top1"))
        inside.append(((table["low"] < 0) & (table["high"] > 0)).mean())
    assert 0.93 < np.mean(inside) < 0.99


def test_the_error_of_the_test_images_is_part_of_an_interval() -> None:
    """Equal runs at chance on 2,000 images are known to 1.9 points, not to 0."""
    table = summarize(measured({"a": [0.25, 0.25], "b": [0.25, 0.25]}, images=2000))
    assert table["high"][0] - 0.25 == pytest.approx(Z * math.sqrt(0.25 * 0.75 / 2000))
    seeds = T * math.sqrt(0.02 / stats.chi2.median(1) / 2)
    table = summarize(measured({"a": [0.1, 0.3], "b": [0.8, 1.0]}, images=2000))
    assert table["high"][0] - 0.2 == pytest.approx(
        math.hypot(seeds, Z * math.sqrt((math.sqrt(0.09) + math.sqrt(0.21)) ** 2 / 4 / 2000))
    )


@given(st.integers(0, 10**6))
def test_differences_are_paired_image_by_image(seed: int) -> None:
    draws = np.random.default_rng(seed)
    right = {name: draws.random(60) < 0.6 for name in ("a-0", "a-1", "b-0")}
    errors = image_errors(answered(right).sample(frac=1, random_state=seed), "test_top1")
    shares = {name: float(found.mean()) for name, found in right.items()}
    cells = runs({"a": [shares["a-0"], shares["a-1"]], "b": [shares["b-0"]]}, images=60)
    cells["test_top1"] += 0.0
    weights = np.array([0.5, 0.5, -1.0])
    per_image = (right["a-0"] + 0.0 + right["a-1"]) / 2 - right["b-0"]
    variance = weights @ errors.among(cells, "test_top1") @ weights
    share = np.array([*shares.values()])
    drawn = (60 * share + 2) / 64  # as if two more were right and two wrong, where that is more
    lacking = np.maximum(0, drawn * (1 - drawn) / 64 - share * (1 - share) / 60)
    assert variance == pytest.approx(per_image.var() / 60 + weights**2 @ lacking)


def test_what_differs_on_every_image_alike_is_told_apart_though_intervals_overlap() -> None:
    """One rule: a tie in a ranking is an open difference, as in a claim."""
    base = np.arange(1000) % 2 == 0
    better = base.copy()
    better[1:60:2] = True  # right where the other is, and on 30 images more
    errors = image_errors(answered({"a-0": better, "b-0": base}), "test_top1")
    found = Measured(runs({"a": [float(better.mean())], "b": [0.5]}), "test_top1", errors)
    table = summarize(found)
    assert table["low"][0] < table["high"][1]
    assert tied_with(found, table, 0).tolist() == [True, False]
    difference = found.difference(found.cells[:1], found.cells[1:])
    assert not difference.open
    assert difference.value == pytest.approx(0.03)


def test_one_seed_gives_the_interval_of_the_test_images() -> None:
    found = measured({"a": [0.5]})
    assert not found.spread.pools
    assert found.mean(found.cells).half_width == pytest.approx(Z * math.sqrt(0.25 / 1000))


def test_one_seed_says_nothing_of_what_is_no_share_of_test_images() -> None:
    found = measured({"a": [0.5]}, "gap_top1")
    assert found.mean(found.cells).half_width is None
    assert summarize(found)["high"].isna().all()


def test_times_are_compared_by_their_ratio() -> None:
    """A slow model's seconds do not blur a fast one's: the spread is in shares."""
    found = measured({"fast": [10.0, 10.2], "slow": [100.0, 104.0]}, "train_seconds")
    difference = found.difference(found.cells[:2], found.cells[2:])
    assert math.exp(difference.value) == pytest.approx(math.sqrt(102 / 10400))
    assert difference.half_width is not None
    assert difference.half_width < 0.25


def test_chance_is_the_most_frequent_label_and_constant_runs_are_found() -> None:
    table = answered({"x": np.arange(100) > 3, "y": np.arange(100) > 30})
    table["label"] = np.tile(np.where(np.arange(100) < 26, 2, np.arange(100) % 2), 2)
    assert label_shares(table)["m", "x"] == pytest.approx(0.37)
    assert constant_runs(table) == {("m", "x"): pytest.approx(0.96)}


def test_a_good_run_on_images_of_mostly_one_class_is_not_constant() -> None:
    table = answered({"good": np.arange(1000) > 25, "dull": np.arange(1000) > -1})
    table["label"] = np.tile((np.arange(1000) < 30).astype(int), 2)
    assert set(constant_runs(table)) == {("m", "dull")}


def test_where_no_run_was_repeated_seeds_spread_as_on_the_other_machines() -> None:
    single = runs({"a": [0.5], "b": [0.6]}).assign(machine="single")
    several = runs({"a": [0.5, 0.52, 0.54]})
    every = pd.concat([single, several], ignore_index=True)
    own = every[every["machine"] == "single"]
    found = Measured(own, "test_top1", NO_ANSWERS, everywhere=every).spread
    pool = found.pools[NETWORK]
    assert (pool.sd, pool.dof) == (pytest.approx(0.02), 2)
    assert not Measured(own, "test_top1", NO_ANSWERS).spread.pools
    slow = every.rename(columns={"test_top1": "train_seconds"})
    timed = Measured(slow.loc[own.index], "train_seconds", NO_ANSWERS, everywhere=slow)
    assert not timed.spread.pools  # times are each machine's own


def test_a_first_repeat_here_counts_beside_those_elsewhere() -> None:
    """Alone, two seeds would stretch all intervals by a t of 12.7, and more runs tell less."""
    here = runs({"a": [0.5, 0.501], "b": [0.6]}).assign(machine="here")
    several = runs({"c": [0.5, 0.52, 0.54]})
    every = pd.concat([here, several], ignore_index=True)
    own = every[every["machine"] == "here"]
    pool = Measured(own, "test_top1", NO_ANSWERS, everywhere=every).spread.pools[NETWORK]
    assert pool.dof == 3
    assert Measured(own, "test_top1", NO_ANSWERS).spread.pools[NETWORK].dof == 1


def test_of_many_equal_backbones_none_is_told_apart_more_often_than_said() -> None:
    """The range of so many normal means, each with a standard error of 1, in 5 % of draws."""
    half_width = math.sqrt(2) * stats.norm.ppf(0.975)
    drawn = np.random.default_rng(0).standard_normal((4000, 12))
    apart = [
        not Estimate(float(found), half_width).open_among(12) for found in np.ptp(drawn, axis=1)
    ]
    assert np.mean(apart) == pytest.approx(0.05, abs=0.01)
    alone = [not Estimate(float(a - b), half_width).open for a, b in drawn[:, :2]]
    assert np.mean(alone) == pytest.approx(0.05, abs=0.01)


def on_machines(values: NDArray[np.float64], machines: int) -> Measured:
    """A row of seeds per backbone, which other machines have again, moved by a tenth of them."""
    draws = np.random.default_rng(int(1e6 * abs(values[0, 0])))
    tables = [
        runs({
            f"b{row}": list(seeds + (draws.standard_normal(len(seeds)) / 10 if machine else 0.0))
            for row, seeds in enumerate(values)
        }, "gap_top1").assign(machine=f"m{machine}")
        for machine in range(machines)
    ]  # fmt: skip
    every = pd.concat(tables, ignore_index=True)
    return Measured(every[every["machine"] == "m0"], "gap_top1", NO_ANSWERS, everywhere=every)


@pytest.mark.parametrize(("groups", "seeds"), [(1, 2), (4, 2)])
def test_the_same_seeds_on_further_machines_make_no_interval_too_narrow(
    groups: int, seeds: int
) -> None:
    """They once counted as further degrees of freedom: of 95 % were 87 on three machines."""
    draws = np.random.default_rng(0)
    inside = []
    for _ in range(100):
        table = summarize(on_machines(draws.standard_normal((groups, seeds)), machines=3))
        inside.append(((table["low"] < 0) & (table["high"] > 0)).mean())
    assert np.mean(inside) > 0.93


def test_a_seed_that_several_machines_have_counts_once() -> None:
    values = np.array([[0.0, 1.0, 3.0], [2.0, 5.0, 4.0]])
    assert on_machines(values, 1).spread.pools[NETWORK].dof == 4
    assert on_machines(values, 3).spread.pools[NETWORK].dof == 4
    other = on_machines(values, 2)
    every = other.everywhere
    assert every is not None
    every.loc[every["machine"] == "m1", "seed"] += 3
    fresh = Measured(other.cells, "gap_top1", NO_ANSWERS, everywhere=every)
    assert fresh.spread.pools[NETWORK].dof == 8


@pytest.mark.parametrize(
    ("seeds", "dof"),
    [
        ([[0, 1], [0, 1], [2]], 1),  # a single run elsewhere tells no spread
        ([[0, 1], [2, 3]], 2),  # of four, but how the pairs differ is not in it
        ([[0, 1], [1, 2], [2, 3]], 3),
        ([[0, 1, 2], [0, 1]], 2),
        ([[0, 1], [2, 3], [1, 2]], 3),
    ],
)
def test_machines_count_by_the_seeds_that_they_share(seeds: list[list[int]], dof: int) -> None:
    draws = np.random.default_rng(0)
    tables = [
        runs({"a": list(draws.standard_normal(len(own)))}, "gap_top1").assign(
            seed=own, machine=f"m{place}"
        )
        for place, own in enumerate(seeds)
    ]
    every = pd.concat(tables, ignore_index=True)
    assert pooled(every, every["gap_top1"]).pools[NETWORK].dof == dof


@pytest.mark.parametrize(("count", "dof"), [(2, 2), (8, 2), (12, 16)])
def test_of_many_equal_backbones_none_is_told_apart_where_few_runs_tell_the_spread(
    count: int, dof: int
) -> None:
    """The range of means with a known spread once called one of eight equal ones better in 9 %."""
    draws = np.random.default_rng(0)
    ranges = np.ptp(draws.standard_normal((4000, count)), axis=1)
    spreads = np.sqrt(draws.chisquare(dof, 4000) / dof)
    half_widths = math.sqrt(2) * stats.t.ppf(0.975, dof) * spreads
    apart = [
        not Estimate(float(found), float(half), float(half), dof).open_among(count)
        for found, half in zip(ranges, half_widths, strict=True)
    ]
    assert np.mean(apart) == pytest.approx(0.05, abs=0.01)


def test_a_difference_knows_which_part_of_its_interval_seeds_make() -> None:
    found = measured({"a": [0.5, 0.52, 0.54], "b": [0.6]})
    sides = [found.cells[found.cells["model"] == name] for name in "ab"]
    difference = found.difference(*sides)
    seeds = 0.02 * math.sqrt(1 / 3 + 1)
    assert difference.dof == 2
    assert difference.by_seeds == pytest.approx(T * seeds)
    assert difference.half_width is not None
    assert difference.half_width > difference.by_seeds  # the test images


def test_heads_on_a_frozen_trunk_say_nothing_of_how_networks_differ() -> None:
    """Their seeds agree more; beside 16 pairs of them one equal pair in ten was told apart."""
    cells = runs({"head": [0.500, 0.504], "network": [0.6, 0.64], "single": [0.7]})
    cells["learns"] = np.where(cells["model"] == "head", HEAD, NETWORK)
    spread = Measured(cells, "test_top1", NO_ANSWERS).spread
    one_pair = math.sqrt(2)
    assert spread.pools[HEAD].sd == pytest.approx(one_pair * 0.002)
    assert spread.pools[NETWORK].sd == pytest.approx(one_pair * 0.02)
    assert spread.pool_of(("m", "single", "100", "r")) == spread.pools[NETWORK]


@pytest.mark.parametrize(("truth", "images"), [(0.99, 359), (0.995, 1000), (0.98, 359)])
def test_near_all_right_an_interval_holds_the_truth_nearly_as_often(
    truth: float, images: int
) -> None:
    right = np.arange(images + 1)
    chance = stats.binom.pmf(right, images, truth)
    cells = pd.DataFrame({"test_top1": right / images, "test_images": images})
    for name in ("machine", "model", "size", "recipe"):
        cells[name] = cells.index.astype(str)
    variance = np.diag(NO_ANSWERS.among(cells, "test_top1"))
    half_width = stats.norm.ppf(0.975) * np.sqrt(variance)
    held = np.abs(right / images - truth) <= half_width
    assert chance[held].sum() > 0.93
