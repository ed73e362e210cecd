"""Evidence that two runs did not compute the same thing: more apart than rounding explains.

How far that is, is told by `rounding` and checked by `benchmarks/planted_faults.py`. Later steps
are judged by the optimiser alone, for rounding grows a thousandfold within a few steps, and the
weights after them by how far they moved.
"""

from dataclasses import dataclass

from stages.comparison.analysis.first_divergence import (
    FirstDivergence,
    find_first_divergence,
    gradients_known,
    rates_differ,
    relative_gap,
    steps_per_epoch,
)
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.rounding import (
    LIMITS,
    Limits,
    first_beyond,
    gradient_limit,
    limit_of,
    without_children,
)
from stages.comparison.analysis.statistics import align, probability_gap
from stages.comparison.analysis.step_trace import (
    Place,
    gradient_distance,
    places_at,
    recorded_steps,
)
from stages.runs.run import Run

STILL_TOGETHER = 1e-5
"""Relative distance of the weights up to which a later step's optimiser can be judged."""


@dataclass(frozen=True)
class Fault:
    """Where the runs part by more than rounding, in words, and what shows it."""

    where: str
    evidence: str


def find_fault(a: Run, b: Run, precision: str) -> Fault | None:
    """The first proof, in the order of computation, that B computed something else; or None."""
    limits = LIMITS[precision]
    return (
        _in_steps(a, b)
        or _in_rates(a, b)
        or _in_first_step(a, b, limits)
        or _in_optimiser_later(a, b, limits)
        or _in_trace(a, b, limits.scalar)
        or _in_weights(a, b)
        or _in_evaluation(a, b, limits)
    )


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


def _in_steps(a: Run, b: Run) -> Fault | None:
    """Steps per epoch; the number of epochs may differ by early stopping."""
    one, other = (steps_per_epoch(run) for run in (a, b))
    if one is None or other is None or one == other:
        return None
    return Fault(
        "in the training loop, in the number of steps",
        f"steps per epoch: {one:g} for {a.name}, {other:g} for {b.name}",
    )


def _in_rates(a: Run, b: Run) -> Fault | None:
    words = rates_differ(a, b)
    return Fault("in the schedule of the learning rate", words) if words else None


def _in_first_step(a: Run, b: Run, limits: Limits) -> Fault | None:
    places = places_at(a, b, 1)
    place = first_beyond(places, limits)
    typed = _of_another_type(a, b, places)
    if typed and (place is None or places.index(typed) <= places.index(place)):
        backend = a.hardware["backend"]
        evidence = f"its numbers are of another type, although both runs computed on {backend}"
        return Fault(f"{typed.describe()}, at step 1", evidence)
    return _at(place, 1, places, limits) if place else None


def _of_another_type(a: Run, b: Run, places: list[Place]) -> Place | None:
    """The first place of another type; autocast chooses types by the backend, so on one alone."""
    one, other = (run.hardware.get("backend") for run in (a, b))
    if one is None or one != other:
        return None
    return next((place for place in places if place.dtypes[0] != place.dtypes[1]), None)


def rounding_explains(a: Run, b: Run, precision: str) -> bool | None:
    """Whether the first step is apart by no more than rounding; None when nothing recorded it."""
    distance, limits, places = first_step_distance(a, b), LIMITS[precision], places_at(a, b, 1)
    if distance is None:
        return None
    return distance <= gradient_limit(places, limits) and not first_beyond(
        places, limits, strict=True
    )


def _in_optimiser_later(a: Run, b: Run, limits: Limits) -> Fault | None:
    """Updates that are mostly apart although gradients and weights are still together."""
    growth, relaxed = weight_growth(a, b), limits.relaxed(10)
    together = dict(zip(growth.steps, growth.distance, strict=True)) if growth else {}
    for step in recorded_steps(a, b)[1:]:
        if together.get(step - 1, 1.0) > STILL_TOGETHER:
            return None
        places = [p for p in places_at(a, b, step) if p.kind in ("gradient", "update")]
        distance = gradient_distance(places)
        if distance is not None and distance <= relaxed.gradient:
            place = first_beyond(places, relaxed, strict=True)
            if place:
                return _at(place, step, places, relaxed)
    return None


def _at(place: Place, step: int, places: list[Place], limits: Limits) -> Fault:
    below = limit_of(place, limits, place.name in without_children(places))
    if place.kind == "gradient":
        below = gradient_limit(places, limits)
    evidence = f"relative distance {place.distance:.1e}, where rounding stays below {below:.1e}"
    if place.kind in _LOOK_AT:
        evidence += f"; look at {_LOOK_AT[place.kind]}"
    return Fault(f"{place.describe()}, at step {step}", evidence)


_LOOK_AT = {
    "input": "choice, order, augmentation, resizing and normalisation of the images",
    "target": "how labels are read, mixed and ordered",
    "update": "the optimiser's settings, its groups and the schedule",
}


def _in_trace(a: Run, b: Run, limit: float) -> Fault | None:
    """A first difference that is large at once, at any step of the trace."""
    divergence = find_first_divergence(a, b)
    if divergence is None or (divergence.distance or 0.0) <= limit:
        return None
    if divergence.step in recorded_steps(a, b):  # looked at in full already
        return None
    return Fault(
        place_in_words(divergence),
        f"relative distance of loss and gradient norm {divergence.distance:.1e} at once, where "
        f"rounding stays below {limit:.0e}",
    )


def place_in_words(divergence: FirstDivergence) -> str:
    """The first differing step and what differs in it, as it stands in a sentence."""
    if divergence.part is None:
        return divergence.span()
    what = {
        "forward": "in the forward pass",
        "backward": "in the backward pass",
        "update": "in the optimiser step",
    }[divergence.part]
    if divergence.part != "forward" and 0 < len(divergence.tensors) < divergence.of:
        shown = ", ".join(f"`{name}`" for name in divergence.tensors[:3])
        more = len(divergence.tensors) - 3
        what += f" of {shown}" + (f" and {more} more" if more > 0 else "")
    return f"{what}, {divergence.span()}"


def _in_weights(a: Run, b: Run) -> Fault | None:
    """Weights that part by more than both runs' steps can move them while they compute alike.

    Two runs that rounding drives apart still move about as far as each other, so their distance
    grows by no more than twice A's own way; three times leaves room for the sketches.
    """
    growth = weight_growth(a, b)
    if growth is None:
        return None
    for index in range(1, len(growth.steps)):
        grown, moved = growth.distance[index] - growth.distance[index - 1], growth.moved[index]
        if moved > 0 and grown > max(STILL_TOGETHER, 3 * moved):  # at fp16 a step may be skipped
            steps = f"between steps {growth.steps[index - 1] + 1} and {growth.steps[index]}"
            return Fault(
                f"in the weights, {steps}",
                f"their relative distance grows by {grown:.1e} there, while {a.name}'s own move "
                f"by {moved:.1e} of their norm",
            )
    return None


def _in_evaluation(a: Run, b: Run, limits: Limits) -> Fault | None:
    """The same training to the bit, but other answers."""
    if a.predictions is not None and b.predictions is not None:
        both = align(a.predictions, b.predictions)
        if others := int((both["label_a"] != both["label_b"]).sum()):
            return Fault("in the labels of the test images", f"{others} of them are not the same")
    if same_weights(a, b) and a.predictions is not None and b.predictions is not None:
        distance = probability_gap(a.predictions, b.predictions)
        if distance > limits.probability:
            return Fault(
                "in the evaluation",
                f"the weights are bit-identical, but probabilities differ by {distance:.2g}",
            )
        return None
    epoch = _first_other_validation(a, b, limits.validation)
    if epoch is None:
        return None
    return Fault(
        "in the evaluation or in the running statistics of norms",
        f"training agrees to the bit, but the validation loss differs from epoch {epoch} on",
    )


def same_weights(a: Run, b: Run) -> bool | None:
    """Whether the weights are equal to the bit; None where the runs keep no hash of one kind."""
    for key in ("weights_hash", "weights_sha256"):  # of the tensors, and of the file
        one, other = a.train.get(key), b.train.get(key)
        if one and other:
            return bool(one == other)
    return None


def _first_other_validation(a: Run, b: Run, limit: float) -> int | None:
    """The first epoch with another validation loss, if the training losses are all equal."""
    if a.history is None or b.history is None or "val_loss" not in a.history:
        return None
    both = a.history.merge(b.history, on="epoch", suffixes=("_a", "_b"))
    if both.empty or (both["train_loss_a"] != both["train_loss_b"]).any():
        return None
    distance = relative_gap(both["val_loss_a"], both["val_loss_b"]) > limit
    return int(both["epoch"][distance].iloc[0]) if distance.any() else None
