"""How far apart the places of a step may be by rounding alone, and the first that is further.

At fp32, machines were measured at 1e-8 to 1e-5 of the values in the first step; deep networks with
small batches carry one ULP further, and say so themselves by what it does in them: machines stay
within 12 times of that (`benchmarks/rounding.py`). One operation on equal bits is off by 2e-7 at
most, on others by little more than they are: GELU by its tanh formula, off by 1.5e-5, is a fault.

A choice between values that are equal but for rounding, as in max-pooling or ReLU at zero, may fall
the other way: nothing moves on the way forward, and the gradients below it move by 2e-4 to 6e-3.

At bf16 one operation is off by its own ULP, and a few layers on almost every value is: one small
residual network had gradients 2e-3 to 3e-2 apart, ResNet-50 and MobileNetV3 6e-2, ShuffleNetV2 and
RepVGG 9e-1 (`benchmarks/rounding.py --precision bf16`). No fixed limit fits them all, but machines
stay within 1.3 times of what nudging the first layer's weights by part of their bf16 ULP does. What
is computed in float32 all the same, from equal bits, is held to float32: images, labels, loss and
optimiser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from stages.comparison.analysis.step_trace import Place, gradient_distance


@dataclass(frozen=True)
class Limits:
    """Distances relative to the norm up to which a place counts as rounding.

    `exact` is for what float32 computes from equal bits, `operation` for a module without children
    that was fed equal bits (None: as any module). `module`, `loss`, `gradient` hold where one ULP
    does less than that over `ulps`; `unmeasured` is for all three where a run did not measure what
    one ULP does, and only gross differences prove anything. With `follows` a module without
    children is held to what entered it as well. `tie` is how far gradients below a single choice
    that fell the other way may be. `update` is for the updates of
    gradients with other bits, `scalar` for loss and gradient norm in the trace, `validation` for
    the loss and `probability` for any probability of the same weights evaluated elsewhere.
    """

    module: float
    loss: float
    gradient: float
    update: float
    scalar: float
    validation: float
    probability: float
    ulps: float
    unmeasured: float = 0.0
    operation: float | None = None
    follows: bool = False
    tie: float = 0.0
    exact: float = 1e-4

    def relaxed(self, times: float) -> "Limits":
        """The same for a later step, into which rounding was carried already."""
        return replace(self, gradient=times * self.gradient, update=times * self.update,
                       exact=times * self.exact)  # fmt: skip


_HALF = Limits(module=3e-2, loss=3e-2, gradient=3e-2, update=3e-1, scalar=3e-1, validation=3e-2,
               probability=3e-2, ulps=2, unmeasured=3e-1)  # fmt: skip
LIMITS = {
    "fp32": Limits(module=1e-4, loss=1e-4, gradient=1e-4, update=1e-4, scalar=1e-3,
                   validation=1e-4, probability=1e-3, ulps=50, operation=3e-6,
                   follows=True, tie=1e-2),
    "tf32": _HALF,
    "fp16": replace(_HALF, gradient=5e-2, validation=5e-2, probability=5e-2),
    "bf16": Limits(module=1.5e-2, loss=3e-3, gradient=6e-2, update=6e-1, scalar=5e-1,
                   validation=5e-2, probability=2e-1, ulps=2, unmeasured=6e-1, operation=8e-3),
}  # fmt: skip
"""By precision. TF32 and fp16 were not measured on other machines: their significands are three
bits longer than that of bf16."""


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
    alone, before, error = without_children(places), 0.0, 0.0
    for place in places:
        if not place.is_of_forward or not place.is_finite:
            continue
        error = max(error, place.error)
        yield place, limit_of(place, limits, place.name in alone, before, error)
        before = max(before, place.distance)


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
    place: Place, limits: Limits, alone: bool = False, before: float = 0.0, error: float = 0.0
) -> float:
    """Up to where the place's distance is rounding.

    `alone` is for a module without children; `before` is the largest distance of what was computed
    before it, as far as it is known, of which such a module makes no more than `CARRIED` times.
    `error` is the largest of a norm up to here.
    """
    if place.kind in ("input", "target") or (place.kind == "loss" and place.fed_alike):
        return limits.exact
    if place.kind == "update":
        floor = limits.exact if place.fed_alike else limits.update
        return max(floor, 4 * place.rounding)
    operation = max(limits.operation or 0.0, ERRORS * place.error)
    if alone and place.fed_alike and limits.operation is not None:
        return operation
    general = max(float(getattr(limits, place.kind)), limits.ulps * place.rounding, ERRORS * error)
    if alone and place.fed_alike is False and limits.follows and place.rounding > 0:
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


def _updates_beyond(places: list[Place], limits: Limits) -> Iterator[tuple[Place, float]]:
    """Updates that are apart by more than their gradients explain.

    One whose gradient had other bits counts when many are like it, of those in which the effect
    could be seen at all: neither lost in the rounding of the weights nor in the gradient's own.
    """
    fed = {place.name: place.distance for place in places if place.kind == "gradient"}
    updates = [place for place in places if place.kind == "update"]
    if not all(place.is_finite for place in places if place.kind == "gradient"):
        return
    limit = {p.name: max(limit_of(p, limits), 50 * fed.get(p.name, 0.0)) for p in updates}
    telling = {place.name for place in updates if limit[place.name] <= 2 * limits.update}
    beyond = [place for place in updates if place.distance > limit[place.name]]
    many = VOTES * len(telling) < sum(place.name in telling for place in beyond)
    for place in beyond:
        if place.fed_alike or (many and place.name in telling):
            yield place, limit[place.name]
