"""The first proof in a replayed stretch that the run was computed otherwise than here.

Both begin at the run's own state, so no drift stands between: what rounding alone does on the way
is what one ULP does to the same steps here, or a choice between equal values that fell the other
way, which moves little of what a stretch moves. Measured by `benchmarks/across_machines.py`.
"""

from collections.abc import Iterator

import numpy as np

from stages.comparison.analysis.drift import loss_fault
from stages.comparison.analysis.exact import exact_fault
from stages.comparison.analysis.findings import Fault, Kind, Where
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.limits import Limits
from stages.comparison.rerun.stretch import Gap, Stretch
from stages.runs.run import Run

ULPS = 30
"""How many times as far as by one ULP the weights may go astray; measured at 2 where no tie fell
the other way."""

SHARE = 2e-2
"""Share of its own movement by which the weights may miss their place all the same; a tie was
measured at 3e-3."""

SHARE_OF_STATE = 0.2
"""The same of running statistics and the optimiser's state, which hold single gradients; a tie was
measured at 2e-2."""

TENSOR_ULPS, TENSOR_SHARE = 100, 0.5
"""The same of a single tensor, which may be small; a tie was measured at 8e-2."""

NOISE = 2e-7
"""Relative distance that is a rounding or two of the values themselves."""


def stretch_fault(stretch: Stretch, record: Run, limits: Limits) -> Fault | None:
    """The first difference between the run and its steps computed here, that rounding excludes."""
    here = stretch.here
    found = [exact_fault(here, record), loss_fault(here, record) if limits.follows else None]
    coarse = 0.0 if limits.follows else limits.update
    found += [_in_growth(stretch, record, *each, coarse) for each in SKETCHED]
    found.append(_in_state(stretch, coarse))
    faults = [fault for fault in found if fault is not None]
    return min(faults, key=lambda f: (f.where.last or 0, -(f.where.first or 0)), default=None)


SKETCHED = (
    ("weights", "(all)", SHARE),
    ("average", "(all)", SHARE),
    ("kept", "(all)", SHARE),
    ("kept", "(buffers)", SHARE_OF_STATE),
)
"""Rows that training sketches as it goes on: kind, name and the share of its movement it may miss.
"""


def _in_growth(
    stretch: Stretch, record: Run, kind: str, name: str, share: float, coarse: float
) -> Fault | None:
    """The first milestone at which the run is not where its own state leads to here."""
    here, first = stretch.here, stretch.after + 1
    growth, beside = (weight_growth(here, other, kind, name) for other in (record, stretch.beside))
    path = weight_growth(here, here)
    if growth is None or beside is None or path is None:
        return None
    by_one_ulp = dict(zip(beside.steps, np.maximum.accumulate(beside.distance), strict=True))
    moved = dict(zip(path.steps, np.cumsum(path.moved), strict=True))
    for step, distance in zip(growth.steps, growth.distance, strict=True):
        if step < first:
            continue
        limit = _limit(by_one_ulp[step], moved.get(step, 0.0), 1.0, ULPS, max(share, coarse))
        if distance > limit:
            words = "running statistics" if name == "(buffers)" else ""
            return Fault(Kind.REPLAYED, Where(kind, words, first, step), distance, limit)
    return None


def _limit(by_one_ulp: float, moved: float, size: float, ulps: float, share: float) -> float:
    """Up to where a distance is rounding; never more than what the stretch itself moves."""
    return NOISE * size + min(max(ulps * by_one_ulp, share * moved), max(moved, by_one_ulp))


def _in_state(stretch: Stretch, coarse: float) -> Fault | None:
    """The part of the next kept state that is not where the last one leads to here."""
    for part, share in (("weights", SHARE), ("average", SHARE), ("", SHARE_OF_STATE)):
        gaps = [gap for gap in stretch.gaps if part_of(gap) == part]
        if not gaps:
            continue
        whole = Gap("", *(_norm(gaps, key) for key in ("gap", "by_one_ulp", "moved", "size")))
        limit = _limit(whole.by_one_ulp, whole.moved, whole.size, ULPS, max(share, coarse))
        if whole.gap > limit:
            size = whole.size or 1.0  # all zeros: the distance itself
            return _state_fault(stretch, part, gaps, whole.gap / size, limit / size)
        if part and not coarse:
            astray = list(_astray(gaps))
            if astray:
                worst = max(astray, key=lambda gap: gap.gap)
                size = worst.size or 1.0
                limit = TENSOR_SHARE * worst.moved / size
                return _state_fault(stretch, part, astray, worst.gap / size, limit)
    return None


def _astray(gaps: list[Gap]) -> Iterator[Gap]:
    for gap in gaps:
        floor = 10 * NOISE * gap.size
        if gap.gap > floor + max(TENSOR_ULPS * gap.by_one_ulp, TENSOR_SHARE * gap.moved):
            yield gap


def _state_fault(stretch: Stretch, part: str, gaps: list[Gap], value: float, limit: float) -> Fault:
    names = sorted(gaps, key=lambda gap: gap.gap / (gap.moved or 1), reverse=True)
    tensors = tuple(gap.name.partition("model.")[2] or gap.name for gap in names)
    where = Where(
        part or "state", "", stretch.after + 1, stretch.until, tensors=tensors,
        of=len([gap for gap in stretch.gaps if part_of(gap) == part]),
    )  # fmt: skip
    return Fault(Kind.REPLAYED, where, value, limit)


def part_of(gap: Gap) -> str:
    """What a tensor of the state is: weights, their average, or "" for all else."""
    if any(gap.name.endswith(end) for end in ("running_mean", "running_var")):
        return ""
    return {"model": "weights", "ema": "average"}.get(gap.name.partition(".")[0], "")


def _norm(gaps: list[Gap], key: str) -> float:
    return float(np.linalg.norm([getattr(gap, key) for gap in gaps]))
