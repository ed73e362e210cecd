"""Evidence that the kept weights of two runs, or their answers, are not those of one model."""

import math
from typing import Any

import numpy as np

from stages.comparison.analysis.drift import CARRIED_INTO_LOSS
from stages.comparison.analysis.findings import Fault, Kind, Where
from stages.comparison.analysis.first_divergence import relative_gap
from stages.comparison.analysis.growth import Growth, weight_growth
from stages.comparison.analysis.limits import Limits
from stages.comparison.analysis.statistics import align, probability_gap
from stages.core.combinations import AT_ONCE
from stages.runs.run import Run

CARRIED_INTO_ANSWERS = 20
"""How many times the distance of the weights the mean difference in confidence may be; honest
machines were measured at 6 times at most."""

CARRIED_INTO_STATISTICS = 100
"""How many times the distance of the weights running statistics may be apart."""

KEPT_NOISE = 1e-6
"""Relative distance of kept weights that a few roundings make."""

NEARLY_ALL = 0.8
"""Share of the steps after which the last milestone is no further from the end than an eighth."""

SAME_INPUTS = 1e-4
"""Relative distance of the test images as they enter the model that resizing may make."""

DIGITS_KEPT = 2e-5
"""Mean difference in confidence that the four digits of predictions may make."""


def evaluation_fault(a: Run, b: Run, limits: Limits) -> Fault | None:
    """Other test images or labels, or answers further apart than the weights that gave them."""
    if fault := _other_images(a, b):
        return fault
    if same_weights(a, b):
        return _same_weights_other_answers(a, b, limits)
    return (
        (_kept_beyond_the_trained(a, b) if limits.follows else None)
        or _other_validation(a, b, limits.validation)
        or _beyond_the_weights(a, b, limits)
    )


def same_weights(a: Run, b: Run) -> bool | None:
    """Whether the weights are equal to the bit; None where the runs keep no hash of one kind."""
    for key in ("weights_hash", "weights_sha256"):  # of the tensors, and of the file
        one, other = a.train.get(key), b.train.get(key)
        if one and other:
            return bool(one == other)
    return None


def _other_images(a: Run, b: Run) -> Fault | None:
    """Test images that one run alone was shown, other pixels of them, or other labels."""
    if fault := _other_inputs(_inputs(a), _inputs(b)):
        return fault
    if a.predictions is None or b.predictions is None:
        return None
    both, sizes = align(a.predictions, b.predictions), (len(a.predictions), len(b.predictions))
    if 0 < len(both) < max(sizes):
        return Fault(Kind.TEST_IMAGES, Where("evaluation", "images"), a=sizes[0], b=sizes[1])
    others = int((both["label_a"] != both["label_b"]).sum())
    if others:
        return Fault(Kind.TEST_LABELS, Where("evaluation", "labels"), float(others))
    return None


def _inputs(run: Run) -> dict[str, Any]:
    """What the model was shown of the test images, as `training/inference.py` records it.

    In older records the sketch has another name, and is of features where a trunk was frozen; such
    ones are held against each other alone.
    """
    inputs = dict(run.evaluate.get("inputs", {}))
    if (run.params or {}).get("finetune") not in ("head", *AT_ONCE) and "sketch" in inputs:
        inputs.setdefault("images_sketch", inputs.pop("sketch"))
    return inputs


def _other_inputs(a: dict[str, Any], b: dict[str, Any]) -> Fault | None:
    if not (a and b):
        return None
    where = Where("evaluation", "images")
    if a["images_hash"] != b["images_hash"] or a["images"] != b["images"]:
        return Fault(Kind.TEST_IMAGES, where, a=a["images"], b=b["images"])
    for key in ("mean", "std", *sorted({"images_sketch", "sketch"} & a.keys() & b.keys())):
        one, other = np.array(a[key]), np.array(b[key])
        distance = float(np.linalg.norm(one - other) / (np.linalg.norm(one) or 1.0))
        if distance > SAME_INPUTS:
            return Fault(Kind.DISTANCE, where, distance, SAME_INPUTS)
    return None


def _same_weights_other_answers(a: Run, b: Run, limits: Limits) -> Fault | None:
    if a.predictions is None or b.predictions is None:
        return None
    distance = probability_gap(a.predictions, b.predictions)
    if distance <= limits.probability:
        return None
    return Fault(
        Kind.PROBABILITIES, Where("evaluation", "same weights"), distance, limits.probability
    )


def _other_validation(a: Run, b: Run, limit: float) -> Fault | None:
    """The first epoch with another validation loss, if the training losses are all equal.

    That of few steps may be equal although the weights have parted: these carry into it, as far
    as they have parted by the end of the epoch.
    """
    if a.history is None or b.history is None or "val_loss" not in a.history:
        return None
    both = a.history.merge(b.history, on="epoch", suffixes=("_a", "_b"))
    if both.empty or (both["train_loss_a"] != both["train_loss_b"]).any():
        return None
    gaps = relative_gap(both["val_loss_a"], both["val_loss_b"])
    growth, steps, epochs = weight_growth(a, b), a.train.get("steps"), a.train.get("epochs_run")
    for epoch, gap in zip(both["epoch"].astype(int), gaps, strict=True):
        carried = 0.0
        if growth:
            last = math.ceil(epoch * steps / epochs) if steps and epochs else growth.steps[-1]
            carried = CARRIED_INTO_LOSS * growth.until(last)
        if gap > max(limit, carried):
            where = Where("evaluation", "validation", epoch=epoch)
            return Fault(Kind.VALIDATION, where, float(gap), max(limit, carried))
    return None


def _kept_beyond_the_trained(a: Run, b: Run) -> Fault | None:
    """Averages or kept weights that are further apart than the trained weights ever were.

    An average is no further apart than what it averages. Running statistics of norms follow the
    activations, which carry a distance of the weights further.
    """
    growth = weight_growth(a, b)
    if growth is None or growth.steps[-1] < NEARLY_ALL * (a.train.get("steps") or 0):
        return None
    same_epoch = a.train.get("best_epoch") == b.train.get("best_epoch")
    of_the_kept = (("kept", "(all)", 3), ("kept", "(buffers)", CARRIED_INTO_STATISTICS))
    for kind, name, most in (("average", "(all)", 3), *(of_the_kept if same_epoch else ())):
        other = weight_growth(a, b, kind, name)
        if other is None:
            continue
        for step, distance in zip(other.steps, other.distance, strict=True):
            until = [d for s, d in zip(growth.steps, growth.distance, strict=True) if s <= step]
            limit = KEPT_NOISE + most * max(until, default=0.0)
            if distance > limit:
                where = Where(kind, "" if name == "(all)" else "running statistics", last=step)
                return Fault(Kind.KEPT, where, distance, limit)
    return None


def _beyond_the_weights(a: Run, b: Run, limits: Limits) -> Fault | None:
    """Answers that are further apart than the weights after training can have made them."""
    found = answers_gap(a, b, limits)
    if found is None or found[0] <= found[1]:
        return None
    return Fault(Kind.PROBABILITIES, Where("evaluation", "kept weights"), *found)


def answers_gap(a: Run, b: Run, limits: Limits) -> tuple[float, float] | None:
    """The mean difference in confidence and how far the weights explain one; None if unknown."""
    gap, distance = confidence_gap(a, b), kept_distance(a, b, weight_growth(a, b))
    if gap is None or distance is None:
        return None
    floor = DIGITS_KEPT if limits.follows else limits.probability
    return gap, floor + CARRIED_INTO_ANSWERS * distance


def confidence_gap(a: Run, b: Run) -> float | None:
    """The mean difference in confidence over the test images; None without answers."""
    if a.predictions is None or b.predictions is None:
        return None
    both = align(a.predictions, b.predictions)
    if both.empty:
        return None
    return float((both["confidence_a"] - both["confidence_b"]).abs().mean())


def kept_distance(a: Run, b: Run, growth: Growth | None) -> float | None:
    """How far the trained weights were apart at most when the kept ones were made.

    None when that is not known, or when the runs keep different epochs, as two that validate
    alike but for rounding may. The last milestone is no further from the end than an eighth.
    """
    steps = a.train.get("steps")
    if growth is None or not steps or growth.steps[-1] < NEARLY_ALL * steps:
        return None
    if a.train.get("best_epoch") != b.train.get("best_epoch"):
        return None
    return max(growth.distance)
