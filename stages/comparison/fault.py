"""Evidence that two runs did not compute the same thing: more apart than rounding explains.

Rounding on other machines was measured at 1e-8 to 1e-5 of the values in the first step, planted
faults at 1e-3 and more (`benchmarks/planted_faults.py`). The limit lies between; networks that
carry rounding further say so themselves, by what one ULP does in them. Later steps are judged by
the optimiser alone, for rounding grows a thousandfold within a few steps.
"""

from dataclasses import dataclass

import pandas as pd

from stages.comparison.growth import weight_growth
from stages.comparison.inside import (
    ULP_FACTOR,
    Place,
    first_beyond,
    gradient_apart,
    gradient_limit,
    places_at,
    recorded_steps,
)
from stages.comparison.parting import (
    Parting,
    find_parting,
    rates_differ,
    relative_gap,
    steps_per_epoch,
)
from stages.comparison.record import Record
from stages.comparison.statistics import align

ROUNDING_LIMIT = {"fp32": 1e-4, "tf32": 3e-2, "bf16": 3e-1, "fp16": 5e-2}
"""Largest difference of first-step values, relative to their norm, that counts as rounding."""

STILL_TOGETHER = 1e-5
"""Relative distance of the weights up to which a later step's optimiser can be judged."""

PROBABILITY_LIMIT = {"fp32": 1e-3, "tf32": 3e-2, "bf16": 2e-1, "fp16": 5e-2}
"""Largest change of a probability that evaluating the same weights elsewhere can make."""


@dataclass(frozen=True)
class Fault:
    """Where the runs part by more than rounding, in words, and what shows it."""

    where: str
    evidence: str


def find_fault(a: Record, b: Record, precision: str) -> Fault | None:
    """The first proof, in the order of computation, that B computed something else; or None."""
    limit = ROUNDING_LIMIT[precision]
    return (
        _in_steps(a, b)
        or _in_rates(a, b)
        or _in_first_step(a, b, limit)
        or _in_optimiser_later(a, b, limit)
        or _in_trace(a, b, 10 * limit)
        or _in_evaluation(a, b, precision)
    )


def first_step_apart(a: Record, b: Record) -> float | None:
    """Distance of the gradients at the first recorded step, relative to their norm.

    Falls back on the trace's loss and gradient norm at the first differing step, also where
    gradients overflowed; 0 when that is known to be a later one, None when nothing was recorded.
    """
    recorded = 1 in recorded_steps(a, b)
    apart = gradient_apart(places_at(a, b, 1)) if recorded else None
    if apart is not None:
        return apart
    parting = find_parting(a, b)
    if parting is None:
        return None
    return parting.apart if parting.is_exact else 0.0


def _in_steps(a: Record, b: Record) -> Fault | None:
    """Steps per epoch; the number of epochs may differ by early stopping."""
    one, other = (steps_per_epoch(run) for run in (a, b))
    if one is None or other is None or one == other:
        return None
    return Fault(
        "in the training loop, in the number of steps",
        f"{a.name} makes {one:g} steps per epoch, {b.name} {other:g}",
    )


def _in_rates(a: Record, b: Record) -> Fault | None:
    words = rates_differ(a, b)
    return Fault("in the schedule of the learning rate", words) if words else None


def _in_first_step(a: Record, b: Record, limit: float) -> Fault | None:
    if 1 not in recorded_steps(a, b):
        return None
    place = first_beyond(places_at(a, b, 1), limit)
    return _at(place, 1, limit) if place else None


def rounding_explains(a: Record, b: Record, precision: str) -> bool | None:
    """Whether the first step is apart by no more than rounding; None when nothing recorded it."""
    apart, limit = first_step_apart(a, b), ROUNDING_LIMIT[precision]
    if 1 in recorded_steps(a, b):
        limit = gradient_limit(places_at(a, b, 1), limit)
    return None if apart is None else apart <= limit


def _in_optimiser_later(a: Record, b: Record, limit: float) -> Fault | None:
    """Updates that are mostly apart although gradients and weights are still together."""
    growth = weight_growth(a, b)
    together = dict(zip(growth.steps, growth.apart, strict=True)) if growth else {}
    for step in recorded_steps(a, b)[1:]:
        if together.get(step - 1, 1.0) > STILL_TOGETHER:
            return None
        places = places_at(a, b, step)
        apart = gradient_apart(places)
        if apart is not None and apart <= 10 * limit:
            kinds = ("gradient", "update")
            place = first_beyond([p for p in places if p.kind in kinds], 10 * limit)
            if place:
                return _at(place, step, limit)
    return None


def _at(place: Place, step: int, limit: float) -> Fault:
    below = max(limit, ULP_FACTOR * place.rounding if place.kind != "update" else 0)
    evidence = f"it is {place.apart:.1e} apart, where rounding stays below {below:.0e}"
    if place.kind in _LOOK_AT:
        evidence += f"; look at {_LOOK_AT[place.kind]}"
    return Fault(f"{place.in_words()}, at step {step}", evidence)


_LOOK_AT = {
    "input": "choice, order, augmentation, resizing and normalisation of the images",
    "target": "how labels are read, mixed and ordered",
    "update": "the optimiser's settings, its groups and the schedule",
}


def _in_trace(a: Record, b: Record, limit: float) -> Fault | None:
    """A first difference that is large at once, at any step of the trace."""
    parting = find_parting(a, b)
    if parting is None or (parting.apart or 0.0) <= limit:
        return None
    if parting.step in recorded_steps(a, b):  # looked at in full already
        return None
    return Fault(
        part_in_words(parting),
        f"loss and gradient norm are {parting.apart:.1e} apart at once, where rounding stays "
        f"below {limit:.0e}",
    )


def part_in_words(parting: Parting) -> str:
    """The first differing step and what differs in it, as it stands in a sentence."""
    if parting.part is None:
        return parting.span()
    what = {
        "forward": "in the forward pass",
        "backward": "on the way back",
        "update": "in the optimiser's update",
    }[parting.part]
    if parting.part != "forward" and 0 < len(parting.tensors) < parting.of:
        shown = ", ".join(f"`{name}`" for name in parting.tensors[:3])
        more = len(parting.tensors) - 3
        what += f" of {shown}" + (f" and {more} more" if more > 0 else "")
    return f"{what}, {parting.span()}"


def _in_evaluation(a: Record, b: Record, precision: str) -> Fault | None:
    """The same training to the bit, but other answers."""
    if a.predictions is not None and b.predictions is not None:
        both = align(a.predictions, b.predictions)
        if others := int((both["label_a"] != both["label_b"]).sum()):
            return Fault("in the labels of the test images", f"{others} of them are not the same")
    if same_weights(a, b) and a.predictions is not None and b.predictions is not None:
        apart = probability_gap(a.predictions, b.predictions)
        if apart is not None and apart > PROBABILITY_LIMIT[precision]:
            return Fault(
                "in the evaluation",
                f"the weights are bit-identical, but probabilities are up to {apart:.2g} apart",
            )
        return None
    epoch = _first_other_validation(a, b, ROUNDING_LIMIT[precision])
    if epoch is None:
        return None
    return Fault(
        "in the evaluation or in the running statistics of norms",
        f"training agrees to the bit, but the validation loss parts in epoch {epoch}",
    )


def same_weights(a: Record, b: Record) -> bool:
    """Whether the weights of both are known and equal to the bit."""
    one, other = a.train.get("weights_sha256"), b.train.get("weights_sha256")
    return one is not None and one == other


def probability_gap(a: pd.DataFrame, b: pd.DataFrame) -> float | None:
    """The largest difference of any probability of any shared image; None without probabilities."""
    columns = [name for name in a.columns if name[0] == "p" and name[1:].isdigit() and name in b]
    if not columns:
        return None
    one, other = (table.set_index("name")[columns] for table in (a, b))
    shared = one.index.intersection(other.index)
    return float((one.loc[shared] - other.loc[shared]).abs().to_numpy().max(initial=0.0))


def _first_other_validation(a: Record, b: Record, limit: float) -> int | None:
    """The first epoch with another validation loss, if the training losses are all equal."""
    if a.history is None or b.history is None or "val_loss" not in a.history:
        return None
    both = a.history.merge(b.history, on="epoch", suffixes=("_a", "_b"))
    if both.empty or (both["train_loss_a"] != both["train_loss_b"]).any():
        return None
    apart = relative_gap(both["val_loss_a"], both["val_loss_b"]) > limit
    return int(both["epoch"][apart].iloc[0]) if apart.any() else None
