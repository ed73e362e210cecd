"""Where runs part: the planted step, part and tensors are found exactly."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.comparison.analysis.first_divergence import (
    find_first_divergence,
    other_rate,
    relative_gap,
    steps_per_epoch,
)
from tests.comparison.made import TENSORS, made, tensors, trace


@settings(max_examples=25, deadline=None)
@given(
    step=st.integers(1, 12),
    part=st.sampled_from(["forward", "backward", "update"]),
    which=st.sets(st.sampled_from(TENSORS), min_size=1),
)
def test_the_planted_place_is_found(step: int, part: str, which: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        a = made(Path(folder) / "a")
        b = made(
            Path(folder) / "b",
            trace=trace(parted=step, part=part),
            trace_tensors=tensors(parted=step, part=part, which=tuple(which)),
        )
        found = find_first_divergence(a, b)
    assert found is not None
    assert (found.step, found.part, found.compared) == (step, part, 12)
    assert set(found.tensors) == which
    assert found.of == len(TENSORS)
    assert found.epoch == 1 + (step - 1) // 6


def test_equal_traces_do_not_part(tmp_path: Path) -> None:
    found = find_first_divergence(made(tmp_path / "a"), made(tmp_path / "b", trace=trace(steps=9)))
    assert found is not None
    assert (found.step, found.compared) == (None, 9)


def test_how_far_is_read_where_it_first_shows(tmp_path: Path) -> None:
    a = made(tmp_path / "a")
    b = made(tmp_path / "b", trace=trace(parted=4, part="update", distance=1e-3))
    found = find_first_divergence(a, b)
    assert found is not None
    assert found.distance == pytest.approx(1e-3, rel=0.01)


def test_no_distance_is_read_behind_a_gap_in_the_trace(tmp_path: Path) -> None:
    """After its first steps a trace has those that end epochs: runs have drifted apart by then."""
    gap = [*range(1, 5), *range(9, 13)]
    whole = (trace(), trace(parted=4, part="update", distance=0.05))
    a, b = (
        made(tmp_path / name, trace=table[table["step"].isin(gap)])
        for name, table in zip("ab", whole, strict=True)
    )
    found = find_first_divergence(a, b)
    assert found is not None
    assert (found.step, found.part, found.distance) == (4, "update", None)


def test_without_a_trace_nothing_is_said(tmp_path: Path) -> None:
    assert find_first_divergence(made(tmp_path / "a"), made(tmp_path / "b", trace=None)) is None


def test_without_tensors_the_step_is_still_known(tmp_path: Path) -> None:
    b = made(tmp_path / "b", trace=trace(parted=2), trace_tensors=None)
    found = find_first_divergence(made(tmp_path / "a"), b)
    assert found is not None
    assert (found.step, found.tensors) == (2, ())


def test_learning_rates_are_compared_by_epoch(tmp_path: Path) -> None:
    a = made(tmp_path / "a")
    assert a.history is not None
    assert other_rate(a, made(tmp_path / "b")) is None
    other = a.history.assign(lr=[0.1, 0.02])
    found = other_rate(a, made(tmp_path / "c", history=other))
    assert found == (2, 0.01, 0.02)


def test_steps_per_epoch_are_unknown_without_counts(tmp_path: Path) -> None:
    assert steps_per_epoch(made(tmp_path / "a")) == 6
    assert steps_per_epoch(made(tmp_path / "b", train=None)) is None


def test_two_norms_that_overflowed_have_no_distance() -> None:
    one, other = pd.Series([math.inf, 2.0]), pd.Series([math.inf, 1.0])
    assert np.isnan(relative_gap(one, other)[0])  # and no warning, which is an error in tests
    assert relative_gap(one, other)[1] == 0.5
