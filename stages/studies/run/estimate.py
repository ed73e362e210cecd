"""How long a missing cell will take, and from what that is known.

In this order: the same cell with another seed; its recipe at the nearest other size, scaled by
images, but for a frozen trunk, whose features cells share; a rehearsal of its recipe here; and
where that cannot be, the same cell on another machine.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from stages.core.combinations import AT_ONCE, FROZEN
from stages.core.errors import DataError
from stages.core.params import Params
from stages.datasets.selection import require_enough
from stages.runs.cell_file import seconds_again, undisturbed_seconds
from stages.studies.run.rehearsal import Pace
from stages.studies.spec.study_config import Cell

PROCESS_SECONDS = 3.0  # until PyTorch and timm are loaded (benchmarks/starts.py)
PEAK_STEPS = 6  # that a profile takes of the largest batch, for its peak memory
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """Seconds, what they were taken from, and the share that measures the network once."""

    seconds: float
    basis: str
    profile_seconds: float = 0.0


@dataclass(frozen=True)
class Known:
    """What there is to estimate from.

    `here` and `elsewhere` are the cells of this and of other machines, finished or diverged;
    `images(params)` how many train, validate and test, None where they are not listed yet;
    `pace(params)` what a rehearsal took, None where it cannot be; `fresh` the cells that are the
    first of their network and profile it; `features` how many images a cell is the first to put
    through its frozen trunk, all of its own where it is not named.
    """

    here: Sequence[Found]
    elsewhere: Sequence[Found]
    images: Callable[[Params], tuple[int, int, int] | None]
    pace: Callable[[Params], Pace | None]
    fresh: frozenset[str] = frozenset()
    features: Mapping[str, int] = field(default_factory=dict)


def estimate(cell: Cell, params: Params, known: Known) -> Estimate | None:
    """The time of a cell that is missing; None where nothing is like it."""
    frozen = params.finetune in FROZEN
    if (seconds := _of_other_seeds(cell, known.here, frozen)) is not None:
        return Estimate(seconds, "as with its other seeds")
    images = known.images(params)
    if images is not None:
        if not frozen and (near := _nearest(cell, images, known.here)):
            seconds = mean(_scaled(one, params.train.epochs, images) for one in near)
            return Estimate(seconds, f"from its recipe with {near[0]['train_images']:,} images")
        if (pace := known.pace(params)) is not None:
            seconds = rehearsed(params, images, pace, known.features.get(cell.name))
            once = profiling(params, pace) if cell.name in known.fresh else 0.0
            basis = "from a rehearsal of its steps" + ", with its profile" * bool(once)
            return Estimate(seconds + once, basis, once)
    if (seconds := _of_other_seeds(cell, known.elsewhere, frozen=False)) is not None:
        return Estimate(seconds, "as on another machine")
    return None


def rehearsed(
    params: Params, images: tuple[int, int, int], pace: Pace, features: int | None = None
) -> float:
    """Seconds of a cell without its profile: `images` train, validate and test.

    Of these `features` are to go through a frozen trunk, all where it is None.
    """
    train, val, test = images
    recipe, evaluated = params.train, params.evaluate.batch_size
    shown = sum(images) if features is None else features
    before = PROCESS_SECONDS + pace.start + shown * pace.trunk
    if params.finetune in AT_ONCE:
        return before
    steps = recipe.epochs * (train // min(recipe.batch_size, train))
    batches = recipe.epochs * math.ceil(val / evaluated) + math.ceil(test / evaluated)
    traced = min(recipe.trace_steps, steps)
    training = traced * pace.traced + (steps - traced) * pace.step + recipe.epochs * pace.epoch
    return before + training + batches * pace.batch


def profiling(params: Params, pace: Pace) -> float:
    """Seconds of a network's profile: two fresh processes for memory, then the timed cells."""
    timed = (1 + len(params.profile.variants)) * (len(params.profile.batch_sizes) + 1)
    largest = max(params.profile.batch_sizes) / params.train.batch_size * pace.step
    fresh = 2 * (PROCESS_SECONDS + pace.start)
    return fresh + timed * params.profile.seconds + PEAK_STEPS * largest


def _of_other_seeds(cell: Cell, cells: Sequence[Found], frozen: bool) -> float | None:
    """Of a frozen trunk the seed that ran first put all images through it, for the others too."""
    own = (cell.model, cell.size, cell.recipe)
    alike = [
        seconds_again(one)
        for one in cells
        if one.get("train") and (one["model"], one["size"], one["recipe"]) == own
    ]
    if frozen:
        return min(alike) if len(alike) > 1 else None
    return mean(alike) if alike else None


def _nearest(cell: Cell, images: tuple[int, int, int], cells: Sequence[Found]) -> Sequence[Found]:
    """The cells of the same recipe at the other size that is nearest; several where seeds are."""
    alike = [
        one
        for one in cells
        if one.get("train") and (one["model"], one["recipe"]) == (cell.model, cell.recipe)
    ]
    if not alike:
        return []
    nearest = min(alike, key=lambda one: abs(math.log(one["train_images"] / images[0])))
    return [one for one in alike if one["size"] == nearest["size"]]


def _scaled(one: Found, epochs: int, images: tuple[int, int, int]) -> float:
    """Seconds of a cell as another with so many epochs and images."""
    trained, whole = undisturbed_seconds(one["train"]) or 0.0, seconds_again(one)
    passes: float = one["epochs"] * _passes(one["train_images"], one["val_images"])
    return trained * epochs * _passes(*images[:2]) / passes + whole - trained


def _passes(train: int, val: int) -> float:
    """The work of an epoch in images trained: to validate one takes about a third of a step."""
    return train + val / 3


def images_in(params: Params, by_split: Mapping[str, int] | None) -> tuple[int, int, int] | None:
    """How many images train, validate and test, of those of each split.

    None where too few are left to train on. Where the splits are not known, a share of them is not
    either: None of training, and nothing of the others.
    """
    subset = params.subset
    if by_split is not None:
        try:
            return require_enough(subset, by_split)
        except DataError:
            return None
    val, test = (amount if isinstance(amount, int) else 0 for amount in (subset.val, subset.test))
    return (subset.train, val, test) if isinstance(subset.train, int) else None
