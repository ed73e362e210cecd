"""Steps whose gradients overflow, as the first ones at fp16 do: read, and not held side by side."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.fault import find_fault, first_step_distance, rounding_explains
from stages.comparison.analysis.first_divergence import find_first_divergence
from stages.comparison.analysis.limits import LIMITS
from stages.comparison.analysis.rounding import first_beyond, gradient_limit
from stages.comparison.analysis.step_trace import gradient_distance, places_at
from stages.runs.run import Run
from tests.comparison.made import made, markdown_of, trace
from tests.comparison.test_step_trace import inside

FP32 = LIMITS["fp32"]


def overflowed(table: pd.DataFrame, value: float, digest: str = "") -> pd.DataFrame:
    """The recorded step with a gradient of infinities, which the optimiser passed over."""
    gradient = table["name"].eq("conv.weight") & table["kind"].eq("gradient")
    table = table.assign(norm=table["norm"].mask(gradient, value))
    sketch = " ".join(map(str, np.full(16, value)))
    table["sketch"] = table["sketch"].mask(gradient, sketch)
    table["hash"] = table["hash"].mask(gradient, f"overflow{digest}")
    return table


def with_gap(table: pd.DataFrame, value: float) -> pd.DataFrame:
    """A trace whose first two steps have no finite norm."""
    return table.assign(grad_norm=table["grad_norm"].mask(table["step"] <= 2, value))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("written", ["", "nan"])
def test_norms_that_are_not_finite_are_read(tmp_path: Path, value: float, written: str) -> None:
    run = made(tmp_path / "a", inside=overflowed(inside(), value))
    with_gap(trace(), value).to_csv(
        tmp_path / "a" / "plots" / "trace.csv", index=False, na_rep=written
    )
    from stages.runs.run import read_run
    from stages.runs.sources import open_source

    again = read_run(open_source(run.name))
    assert not [entry for entry in again.missing if "damaged" in entry]
    assert again.trace is not None and again.inside is not None  # noqa: PT018
    assert not np.isfinite(again.trace["grad_norm"][:2]).any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_overflow_is_no_fault_and_no_distance(value: float) -> None:
    mine = overflowed(inside(), value)
    theirs = overflowed(inside({("update", "fc.weight"): 0.5}), value, "x")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        places = places_at(Run("a", inside=mine), Run("b", inside=theirs), 1)
    assert gradient_distance(places) is None
    assert gradient_limit(places, FP32) == 1e-4
    assert first_beyond(places, FP32) is None


def test_a_fault_on_the_way_forward_shows_beside_an_overflow() -> None:
    a = Run("a", inside=overflowed(inside(), np.inf))
    b = Run("b", inside=overflowed(inside({("module", "fc"): 0.5}), np.inf, "x"))
    found = first_beyond(places_at(a, b, 1), FP32)
    assert found is not None
    assert (found[0].kind, found[0].name) == ("module", "fc")


def fp16(name: str, distance: float) -> Run:
    """A run with two steps that overflowed and a third that is `distance` from the plain one's."""
    return Run(
        name,
        params={"seed": 0},
        train={"weights_sha256": name, "precision": "fp16"},
        trace=with_gap(
            trace(parted=1 if distance else None, part="backward", distance=distance), np.nan
        ),
        inside=overflowed(inside(), np.nan, name),
    )


def test_the_next_finite_step_is_the_one_to_go_by() -> None:
    a, b = fp16("a", 0.0), fp16("b", 1e-4)
    divergence = find_first_divergence(a, b)
    assert divergence is not None
    assert (divergence.step, divergence.distance) == (1, pytest.approx(1e-4, rel=0.01))
    assert first_step_distance(a, b) == pytest.approx(1e-4, rel=0.01)
    assert rounding_explains(a, b, "fp16")
    assert find_fault(a, b, "fp16") is None
    assert "nan" not in markdown_of(compare_runs(a, b))


def test_far_apart_at_the_next_finite_step_is_not_rounding() -> None:
    assert rounding_explains(fp16("a", 0.0), fp16("b", 0.5), "fp16") is False


def test_nothing_finite_is_nothing_known() -> None:
    a, b = (replace(fp16(name, at), inside=None) for name, at in (("a", 0.0), ("b", 1e-4)))
    assert a.trace is not None and b.trace is not None  # noqa: PT018
    a, b = (replace(run, trace=run.trace.head(2)) for run in (a, b) if run.trace is not None)
    assert first_step_distance(a, b) is None
    assert rounding_explains(a, b, "fp16") is None
    assert find_fault(a, b, "fp16") is None
