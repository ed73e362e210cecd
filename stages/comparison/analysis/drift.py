"""Runs that drift apart by more than rounding, as far as losses and weights tell.

A loss moves with the weights that entered the step, and weights part no faster than their own
steps differ. Both were measured on honest machines by `benchmarks/across_machines.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stages.comparison.analysis.findings import Fault, Kind, Where
from stages.comparison.analysis.first_divergence import find_first_divergence, gradients_known
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.limits import Limits
from stages.comparison.analysis.rounding import one_ulp_in_gradients
from stages.comparison.analysis.step_trace import places_at, recorded_steps
from stages.runs.run import Run

GROWTH_BY_NOISE = 1e-5
"""Relative growth of the distance of the weights from which it is more than noise."""

CARRIED_INTO_LOSS = 500
"""How many times the relative distance of the weights that entered a step its loss may be off,
relative; measured at no more than 44."""

SMALL_LOSS = 0.1
"""Loss below which differences count as of one of this size: it is a sum of larger terms."""

PARTING = ((1e-6, 2e-2), (1e-4, 6e-2))
"""Distances of the weights, and how far they may part from there, as a share of A's own movement
in between; measured at no more than 1.1e-3 and 1.0e-2."""


def drift_faults(a: Run, b: Run, limits: Limits) -> Iterator[Fault | None]:
    """What the trace of steps and the weights after them show, each by itself."""
    yield _at_once(a, b, limits.scalar)
    if limits.follows:
        yield loss_fault(a, b)
    yield _in_weights(a, b, limits)


SHOWN = 0.2
"""Share of these limits within which a difference is taken for rounding. Between the two nothing is
shown: neither a fault nor that there is none."""


def shown_until(a: Run, b: Run, limits: Limits) -> int | None:
    """The last step before losses or weights part by more than is taken for rounding."""
    if not limits.follows:
        return None
    found = [loss_fault(a, b, SHOWN), _in_weights(a, b, limits, SHOWN)]
    starts = [fault.where.first for fault in found if fault is not None and fault.where.first]
    return min(starts) - 1 if starts else None


UNMEASURED = 0.2
"""How far loss or gradient norm may be off at the first step where nothing tells what one ULP does,
as in the cells of studies. Machines that were alike for some steps compute alike: a jump is none of
theirs. At the first step of MobileOne-S0 on 64 puzzles the norm of the gradients moved by 0.8 % for
one ULP, by 3 % between one thread and two, by 6 % between an AMD EPYC and an NVIDIA H100; that of a
ShuffleNetV2 by 0.5 % between the two. It was set on these; what it lets pass was not measured."""


def _at_once(a: Run, b: Run, limit: float) -> Fault | None:
    """A first difference that is large at once, at any step of the trace."""
    divergence, recorded = find_first_divergence(a, b), recorded_steps(a, b)
    if divergence is None:
        return None
    if not recorded and divergence.step == 1:
        limit = max(limit, UNMEASURED)
    if (divergence.distance or 0.0) <= limit:
        return None
    if divergence.step in recorded:  # looked at in full already
        return None
    return Fault(Kind.JUMP, divergence.where, divergence.distance, limit)


def loss_fault(a: Run, b: Run, part: float = 1.0) -> Fault | None:
    """A traced loss that the weights which entered the step do not explain; `part` of the limit."""
    found = loss_gaps(a, b)
    if found is None:
        return None
    rows = np.flatnonzero(found["gap"] > part * found["limit"])
    if len(rows) == 0:
        return None
    row = int(rows[0])
    step, before = int(found["step"].iloc[row]), int(found["step"].iloc[row - 1]) if row else 0
    where = Where("forward", "", before + 1, step)
    return Fault(Kind.JUMP, where, float(found["gap"].iloc[row]), float(found["limit"].iloc[row]))


def loss_gaps(a: Run, b: Run) -> pd.DataFrame | None:
    """Per traced step how far the losses are apart, and how far the weights explain; both relative.

    Only steps whose weights are known to be close; None without a trace and weights of both.
    """
    growth = weight_growth(a, b)
    if growth is None or a.trace is None or b.trace is None or not gradients_known(a, b):
        return None
    both = a.trace.merge(b.trace, on="step", suffixes=("_a", "_b")).sort_values("step")
    rows = []
    for step, one, other, norm in zip(
        both["step"], both["loss_a"], both["loss_b"], both["grad_norm_a"], strict=True
    ):
        entered = growth.before(int(step))
        if entered is None or not np.isfinite(norm):
            continue
        distance, weights = entered
        carried = max(CARRIED_INTO_LOSS, 10 * norm * weights)  # first order, and room for curvature
        limit = GROWTH_BY_NOISE + carried * distance
        rows.append((step, abs(one - other) / max(abs(one), abs(other), SMALL_LOSS), limit))
    return pd.DataFrame(rows, columns=["step", "gap", "limit"])


def _in_weights(a: Run, b: Run, limits: Limits, part: float = 1.0) -> Fault | None:
    """Weights that part by more than both runs' steps can move them; `part` of the limit."""
    for stretch in weight_gaps(a, b, limits):
        if stretch.grown > part * stretch.limit:
            where = Where("weights", "", stretch.first, stretch.last)
            return Fault(Kind.WEIGHTS, where, stretch.grown, stretch.moved)
    return None


@dataclass(frozen=True)
class Milestones:
    """Steps between two milestones, and distances relative to A's weights.

    `grown` is by how much A and B parted, `limit` how much rounding explains, `moved` A's own way
    as `Growth` has it.
    """

    first: int
    last: int
    grown: float
    limit: float
    moved: float


def weight_gaps(a: Run, b: Run, limits: Limits) -> Iterator[Milestones]:
    """How far the weights part from milestone to milestone while A's move.

    Two runs that rounding drives apart still move about as far as each other, so their distance
    grows by no more than twice A's own way; three times leaves room for the sketches. While they
    are close they take nearly the same steps.
    """
    growth = weight_growth(a, b)
    if growth is None:
        return
    inside = [places_at(a, b, step) for step in recorded_steps(a, b)]
    carried = limits.ulps * max(map(one_ulp_in_gradients, inside), default=0.0)
    for index in range(1, len(growth.steps)):
        before, moved = growth.distance[index - 1], growth.moved[index]
        share = next((s for most, s in PARTING if limits.follows and before <= most), 3.0)
        # Where updates themselves are less exact, or one ULP carries far into them.
        share = max(share, 2 * limits.update, carried)
        if moved > 0:  # fp16 may skip a step
            limit = max(GROWTH_BY_NOISE, share * moved)
            grown = growth.distance[index] - before
            yield Milestones(growth.steps[index - 1] + 1, growth.steps[index], grown, limit, moved)
