"""How far apart the places of a step may be by rounding alone, and the first that is further.

How much is rounding at a precision is said by `limits`.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from stages.comparison.analysis.limits import Limits
from stages.comparison.analysis.step_trace import Place, gradient_distance


def is_measured(places: list[Place]) -> bool:
    """Whether a run told what one ULP does in this step; below fp32 it may round away."""
    return any(place.rounding > 0 for place in places if place.kind != "update")


def first_beyond(
    places: list[Place], limits: Limits, strict: bool = False
) -> tuple[Place, float] | None:
    """The first place that is apart by more than rounding and its limit, as computed in order.

    A single tensor's gradient may be mere rounding noise (the bias before a norm), so gradients
    count by the whole. Updates count where the gradient that made them had equal bits, or when
    many of them are apart by far more than their gradients. A step whose gradients are not finite
    is judged by its way forward alone, for the optimiser passes over it. With `strict` the
    limits are those up to which a difference is taken for rounding, without it those beyond which
    it is proof of a fault; below fp32 there is room between the two.
    """
    if not strict:
        limits = _lenient(places, limits)
    if found := _forward_beyond(places, limits):
        return found
    whole = gradient_distance(places)
    if whole is not None and whole > gradient_limit(places, limits):
        if near_tie(places, limits):
            return None
        gradients = [place for place in places if place.kind == "gradient"]
        return max(gradients, key=lambda place: place.gap), gradient_limit(places, limits)
    return next(_updates_beyond(places, limits), None)


def _forward_beyond(places: list[Place], limits: Limits) -> tuple[Place, float] | None:
    pairs = forward_limits(places, limits)
    return next(((place, limit) for place, limit in pairs if place.distance > limit), None)


def forward_limits(places: list[Place], limits: Limits) -> Iterator[tuple[Place, float]]:
    """Every place of the way forward in order, with the distance up to which it is rounding."""
    alone, before = without_children(places), None
    summed, gain, counted = 0.0, 0.0, set[tuple[float, float]]()
    for place in places:
        if not place.is_of_forward or not place.is_finite:
            continue
        # Norms are many: what comes after carries their errors as far as it carries one ULP.
        if place.errors not in counted:  # the parts of a norm have its own
            counted.add(place.errors)
            summed = math.hypot(summed, place.error)
            gain = math.hypot(gain, place.error / place.rounding if place.rounding > 0 else 0.0)
        error = max(summed, gain * place.rounding)
        yield place, limit_of(place, limits, place.name in alone, before, error)
        before = max(before or 0.0, place.distance)


def _lenient(places: list[Place], limits: Limits) -> Limits:
    """Limits beyond which a difference is proof: wider where a step's yardstick is a poor one.

    None may be measured, and that of the loss, a single number, may be small by chance: it moves
    as far as the outputs do.
    """
    if limits.unmeasured == 0:
        return limits
    if not is_measured(places):
        gross = {kind: max(limits.unmeasured, getattr(limits, kind)) for kind in _FLOORS}
        return replace(limits, **gross)
    outputs = max((place.rounding for place in places if place.name == "(model)"), default=0.0)
    return replace(limits, loss=max(limits.loss, limits.ulps * outputs))


_FLOORS = ("module", "loss", "gradient")


def limit_of(
    place: Place,
    limits: Limits,
    alone: bool = False,
    before: float | None = None,
    error: float = 0.0,
) -> float:
    """Up to where the place's distance is rounding.

    `alone` is for a module without children; `before` is the largest distance of what was computed
    before it, of which such a module makes no more than `CARRIED` times; None where that was not
    recorded, as of a frozen trunk. `error` is what those of the norms up to here make of it.
    """
    if place.kind in ("input", "target") or (place.kind == "loss" and place.fed_alike):
        return limits.exact
    if place.kind == "update":
        floor = limits.repeated if place.fed_alike else limits.update
        return max(floor, 4 * place.rounding)
    operation = max(limits.operation or 0.0, ERRORS * place.error)
    if alone and place.fed_alike and limits.operation is not None:
        return operation
    general = max(float(getattr(limits, place.kind)), limits.ulps * place.rounding, ERRORS * error)
    follows = limits.follows and place.rounding > 0
    if alone and place.fed_alike is False and follows and before is not None:
        return min(general, max(operation, CARRIED * before, CARRIED * place.rounding))
    return general


ERRORS = 2
"""How many times the errors of both machines together a norm may be apart; once is as far as equal
inputs can bring them."""


CARRIED = 20
"""How many times as far as all before it, or as one ULP of the first layer, a single operation on
other bits may be; measured at no more than a third of that."""


def gradient_limit(places: list[Place], limits: Limits) -> float:
    """How far gradients may lie apart by rounding: a floor, or more where one ULP carries far."""
    return max(limits.gradient, limits.ulps * one_ulp_in_gradients(places))


def one_ulp_in_gradients(places: list[Place]) -> float:
    """What one ULP does to all gradients together, relative to their norm; 0 when unmeasured."""
    gradients = [place for place in places if place.kind == "gradient" and place.size > 0]
    if not gradients or not all(place.is_finite for place in gradients):
        return 0.0
    carried = np.hypot.reduce([place.rounding * place.size for place in gradients])
    return float(carried / np.hypot.reduce([place.size for place in gradients]))


def without_children(places: list[Place]) -> set[str]:
    """Names of the modules that hold no other, so that each is about one operation."""
    names = {place.name for place in places if place.kind == "module"}
    parents = {name.rpartition(".")[0] for name in names} | {"(model)"}
    return names - parents


def near_tie(places: list[Place], limits: Limits) -> Place | None:
    """The first gradient below a choice between values that are equal but for rounding.

    None unless the way forward is as it was and the gradients above, the last layer's among them,
    are in their place, while those below are off by no more than one such choice makes.
    """
    whole = gradient_distance(places)
    gradients = [place for place in places if place.kind == "gradient"]
    if whole is None or not gradient_limit(places, limits) < whole <= limits.tie:
        return None
    if _forward_beyond(places, limits):
        return None
    noise, last = gradient_limit(places, limits), gradients[0].name.rpartition(".")[0]
    if any(p.distance > noise for p in gradients if p.name.rpartition(".")[0] == last):
        return None
    return next(place for place in gradients if place.distance > noise)


VOTES = 1 / 3
"""Share of the updates that can tell from which they prove something: AdamW makes whole steps of
gradients that are rounding noise, in up to a seventh of them on honest machines."""
NOISY = 2
"""Such updates among those few that were selected for being apart."""


def _updates_beyond(places: list[Place], limits: Limits) -> Iterator[tuple[Place, float]]:
    """Updates that are apart by more than their gradients explain.

    One whose gradient had other bits counts when many are like it, of those in which the effect
    could be seen at all: neither lost in the rounding of the weights nor in the gradient's own.
    """
    fed = {place.name: place.distance for place in places if place.kind == "gradient"}
    updates = [p for p in places if p.kind == "update" and max(p.size, p.size_b) > 0]  # not frozen
    if not all(place.is_finite for place in places if place.kind == "gradient"):
        return
    limit = {p.name: max(limit_of(p, limits), 50 * fed.get(p.name, 0.0)) for p in updates}
    telling = {
        place.name
        for place in updates
        if place.distance >= limits.voting and limit[place.name] <= 2 * limits.update
    }
    beyond = [place for place in updates if place.distance > limit[place.name]]
    needed = max(VOTES * len(telling), NOISY if limits.voting else 0)
    many = needed < sum(place.name in telling for place in beyond)
    for place in beyond:
        if place.fed_alike or (many and place.name in telling):
            yield place, limit[place.name]
