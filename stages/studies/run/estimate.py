"""How long a missing cell will take, and from what that is known.

In this order: the same cell with another seed; its model's cells, scaled by images and epochs; a
rehearsal of its recipe here; and where that cannot be, the same cell on another machine.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from stages.core.amounts import images_of
from stages.core.combinations import AT_ONCE
from stages.core.params import Params
from stages.studies.run.rehearsal import Pace
from stages.studies.spec.study_config import Cell

PROCESS_SECONDS = 4.0  # until a fresh process has imported PyTorch and the models
PEAK_STEPS = 6  # that a profile takes of the largest batch, for its peak memory
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Estimate:
    """Seconds, and what they were taken from."""

    seconds: float
    basis: str


@dataclass(frozen=True)
class Known:
    """What there is to estimate from.

    `here` and `elsewhere` are the cells of this and of other machines, finished or diverged;
    `images(params)` how many train, validate and test, None where they are not listed yet;
    `pace(params)` what a rehearsal took, None where it cannot be; `fresh` the cells that are the
    first of their network and profile it.
    """

    here: Sequence[Found]
    elsewhere: Sequence[Found]
    images: Callable[[Params], tuple[int, int, int] | None]
    pace: Callable[[Params], Pace | None]
    fresh: frozenset[str] = frozenset()


def estimate(cell: Cell, params: Params, known: Known) -> Estimate | None:
    """The time of a cell that is missing; None where nothing is like it."""
    if (seconds := _of_other_seeds(cell, known.here)) is not None:
        return Estimate(seconds, "as with its other seeds")
    images = known.images(params)
    if images is not None:
        finished = [one for one in _of_model(cell, known.here) if one.get("train")]
        if finished:
            rate = mean(
                _train_seconds(one) / (one["train_images"] * one["epochs"]) for one in finished
            )
            rest = mean(one["cell_seconds"] - _train_seconds(one) for one in finished)
            work = images[0] * params.train.epochs
            return Estimate(rate * work + rest, "from its model's other cells")
        if (pace := known.pace(params)) is not None:
            seconds = rehearsed(params, images, pace)
            seconds += profiling(params, pace) if cell.name in known.fresh else 0.0
            return Estimate(seconds, "from a rehearsal of its steps")
    if (seconds := _of_other_seeds(cell, known.elsewhere)) is not None:
        return Estimate(seconds, "as on another machine")
    return None


def rehearsed(params: Params, images: tuple[int, int, int], pace: Pace) -> float:
    """Seconds of a cell without its profile: `images` train, validate and test."""
    train, val, test = images
    recipe, evaluated = params.train, params.evaluate.batch_size
    before = PROCESS_SECONDS + pace.start
    if params.finetune in AT_ONCE:
        return before + math.ceil(sum(images) / evaluated) * pace.batch
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


def _of_other_seeds(cell: Cell, cells: Sequence[Found]) -> float | None:
    own = (cell.model, cell.size, cell.recipe)
    alike = [
        float(one["cell_seconds"])
        for one in cells
        if one.get("train") and (one["model"], one["size"], one["recipe"]) == own
    ]
    return mean(alike) if alike else None


def _of_model(cell: Cell, cells: Sequence[Found]) -> list[Found]:
    return [one for one in cells if one["model"] == cell.model]


def _train_seconds(one: Found) -> float:
    return float(one["train"]["train_seconds"])


def images_in(params: Params, by_split: Mapping[str, int] | None) -> tuple[int, int, int] | None:
    """How many images train, validate and test, of those of each split.

    Shares are of the pool, `full` without validation; of a pool without an official split a fifth
    is set aside for testing. None for a share of what is not known; tests are then taken as none.
    """
    subset, listed = params.subset, by_split or {}
    if by_split is None and not isinstance(subset.train, int):
        return None
    loose = listed.get("any", 0)
    pool = listed.get("train", 0) + loose * 4 // 5
    tests = listed.get("test", 0) + loose - loose * 4 // 5
    val = listed.get("val") or images_of(subset.val, pool) or 0
    train = images_of(subset.train, pool)
    test = images_of(subset.test, tests)
    return pool - val if train is None else train, val, tests if test is None else test
