"""Proof that two runs did not compute the same thing: more apart than rounding explains.

How far that is, is told by `rounding` and measured by `benchmarks/across_machines.py`. What must be
equal on any machine is in `exact`, answers to the test images in `evaluation`. Later steps are
judged by what rounding cannot have carried far: images, labels, number types and the optimiser
where gradients are still together; how far runs drift apart as they go on is in `drift`.
"""

import math
from dataclasses import replace

from stages.comparison.analysis.drift import drift_faults
from stages.comparison.analysis.evaluation import evaluation_fault
from stages.comparison.analysis.exact import exact_fault
from stages.comparison.analysis.findings import Fault, Kind
from stages.comparison.analysis.first_divergence import (
    find_first_divergence,
    gradients_known,
)
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.limits import Limits, limits_for
from stages.comparison.analysis.rounding import first_beyond, gradient_limit
from stages.comparison.analysis.step_trace import (
    Place,
    gradient_distance,
    places_at,
    recorded_steps,
)
from stages.runs.run import Run

STILL_TOGETHER = 1e-5
"""Relative distance of the weights up to which a later step's optimiser can be judged."""


def find_fault(a: Run, b: Run, precision: str, tied: bool = False) -> Fault | None:
    """The first proof, in the order of computation, that B computed something else; or None.

    `tied` is for runs whose first gradients a replay found to part by a choice that rounding makes.
    """
    limits = limits_for(precision, a.params)
    if fault := exact_fault(a, b) or _in_first_step(a, b, _with_any_gradient(limits, tied)):
        return fault
    later = [_in_later_steps(a, b, limits), *drift_faults(a, b, limits)]
    first = [fault for fault in later if fault is not None]
    if first:
        return min(first, key=lambda fault: (fault.where.last or 0, -(fault.where.first or 0)))
    return evaluation_fault(a, b, limits)


def first_step_distance(a: Run, b: Run) -> float | None:
    """Distance of the gradients at the first recorded step, relative to their norm.

    Falls back on the trace's loss and gradient norm at the first differing step, also where
    gradients overflowed; 0 when that is known to be a later one, None when nothing was recorded.
    """
    recorded = 1 in recorded_steps(a, b)
    distance = gradient_distance(places_at(a, b, 1)) if recorded else None
    if distance is not None:
        return distance
    divergence = find_first_divergence(a, b)
    if divergence is None or not gradients_known(a, b):
        return None
    return divergence.distance if divergence.is_exact else 0.0


def _with_any_gradient(limits: Limits, tied: bool) -> Limits:
    return replace(limits, gradient=math.inf) if tied else limits


def _in_first_step(a: Run, b: Run, limits: Limits) -> Fault | None:
    places = places_at(a, b, 1)
    found = first_beyond(places, limits)
    typed = of_another_type(a, b, places)
    if typed and (found is None or places.index(typed) <= places.index(found[0])):
        return Fault(Kind.TYPE, typed.at(1), a=typed.dtypes[0], b=typed.dtypes[1])
    return _distance(*found, 1) if found else None


def of_another_type(a: Run, b: Run, places: list[Place]) -> Place | None:
    """The first place of another type; autocast chooses types by the backend, so on one alone."""
    one, other = (run.hardware.get("backend") for run in (a, b))
    if one is None or one != other:
        return None
    return next((place for place in places if place.dtypes[0] != place.dtypes[1]), None)


def rounding_explains(a: Run, b: Run, precision: str, tied: bool = False) -> bool | None:
    """Whether the first step is apart by no more than rounding; None when nothing recorded it."""
    distance, places = first_step_distance(a, b), places_at(a, b, 1)
    limits = _with_any_gradient(limits_for(precision, a.params), tied)
    if distance is None:
        return None
    most = max(gradient_limit(places, limits), limits.tie if places else 0.0)
    return distance <= most and not first_beyond(places, limits, strict=True)


def _in_later_steps(a: Run, b: Run, limits: Limits) -> Fault | None:
    """What a recorded step shows however far rounding has driven the weights apart by then.

    Images and labels do not follow from weights, and neither do the types of numbers. Updates are
    held to gradients and weights that are still together.
    """
    growth, relaxed = weight_growth(a, b), limits.relaxed(10)
    together = dict(zip(growth.steps, growth.distance, strict=True)) if growth else {}
    for step in recorded_steps(a, b)[1:]:
        places = places_at(a, b, step)
        if typed := of_another_type(a, b, places):
            return Fault(Kind.TYPE, typed.at(step), a=typed.dtypes[0], b=typed.dtypes[1])
        for place in places:
            if place.kind in ("input", "target") and place.distance > limits.exact:
                return _distance(place, limits.exact, step)
            if place.stands_still:
                return Fault(Kind.STANDSTILL, place.at(step), a=place.size, b=place.size_b)
        steps = [p for p in places if p.kind in ("gradient", "update")]
        distance = gradient_distance(steps)
        if together.get(step - 1, 1.0) > STILL_TOGETHER or distance is None:
            continue
        if distance <= relaxed.gradient and (found := first_beyond(steps, relaxed, strict=True)):
            return _distance(*found, step)
    return None


def _distance(place: Place, limit: float, step: int) -> Fault:
    return Fault(Kind.DISTANCE, place.at(step), place.distance, limit)
