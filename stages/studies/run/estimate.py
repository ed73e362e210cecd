"""How long a missing cell will take, and from what that is known.

In this order: the same cell with another seed; its model's cells, scaled by images and epochs; the
training speed that a profile measured, of a cell or of `python -m stages.profile --all`; and where
nothing of this machine tells, the same cell on another machine.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from stages.core import paths
from stages.core.amounts import images_of
from stages.core.params import Params
from stages.studies.spec.study_config import Cell

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
    `pool(params)` how many images may train or validate, None where they are not listed yet;
    `rates` images per second of training by model and input size, from `report/zoo.csv`.
    """

    here: Sequence[Found]
    elsewhere: Sequence[Found]
    pool: Callable[[Params], int | None]
    rates: Mapping[tuple[str, int], float] = field(default_factory=dict)


def estimate(cell: Cell, params: Params, known: Known) -> Estimate | None:
    """The time of a cell that is missing; None where nothing is like it."""
    if (seconds := _of_other_seeds(cell, known.here)) is not None:
        return Estimate(seconds, "as with its other seeds")
    images = _images(params, known)
    if images is not None:
        work = images * params.train.epochs
        finished = [one for one in _of_model(cell, known.here) if one.get("train")]
        if finished:
            rate = mean(
                _train_seconds(one) / (one["train_images"] * one["epochs"]) for one in finished
            )
            rest = mean(one["cell_seconds"] - _train_seconds(one) for one in finished)
            return Estimate(rate * work + rest, "from its model's other cells")
        if (rate := _profiled(cell, params, known)) is not None:
            return Estimate(work / rate, "training alone, from its model's profile")
    if (seconds := _of_other_seeds(cell, known.elsewhere)) is not None:
        return Estimate(seconds, "as on another machine")
    return None


def measured_rates() -> dict[tuple[str, int], float]:
    """Training speeds, in images per second, of the models that `stages.profile --all` measured."""
    if not paths.ZOO_CSV.exists():
        return {}
    with paths.ZOO_CSV.open(encoding="utf-8", newline="") as lines:
        return {
            (row["model"], int(row["input_px"])): float(row["training_images_per_second"])
            for row in csv.DictReader(lines)
            if row.get("training_images_per_second")
        }


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


def _profiled(cell: Cell, params: Params, known: Known) -> float | None:
    """Images per second of a training step, as measured at the cell's input size."""
    profiles = [one["profile"] for one in _of_model(cell, known.here)]
    rates = [
        float(profile["training_images_per_second"])
        for profile in profiles
        if profile.get("training_images_per_second")
        and profile.get("input_px") == params.input_size
    ]
    return mean(rates) if rates else known.rates.get((cell.model, params.input_size))


def _images(params: Params, known: Known) -> int | None:
    """Training images of a cell; shares and `full` are of the pool, `full` without validation."""
    asked = params.subset.train
    if isinstance(asked, int):
        return asked
    pool = known.pool(params)
    if pool is None:
        return None
    val = images_of(params.subset.val, pool) or 0
    share = images_of(asked, pool)
    return pool - val if share is None else share
