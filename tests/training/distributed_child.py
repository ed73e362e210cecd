"""One of several training processes, started by torchrun: `… distributed_child OUT TRAININGS`.

TRAININGS is a JSON list of models and recipes, trained one after the other. A recipe is over the
one below, with "die_at": the second process kills itself after so many steps, and "poison": the
third loss at lower precision than float32 is not a number.
"""

import json
import math
import os
import pickle
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from stages.training import run as training_run
from stages.training.batch import Epoch
from stages.training.distributed import process_group, rank
from stages.training.engine import Engine, StepResult
from stages.training.recorder import Record
from tests.training.helpers import params, run

RECIPE = {"epochs": 2, "optimizer": "sgd", "lr": 0.02, "augment": ["crop", "cutmix"]}


def die_at(step: int) -> None:
    """The second process kills itself in that step, from 1."""
    update = Engine.update
    steps = 0

    def mortal(self: Engine) -> None:
        nonlocal steps
        steps += 1
        if rank() == 1 and steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        update(self)

    Engine.update = mortal  # type: ignore[method-assign]


def poison() -> None:
    """Training diverges in its third step unless it is in float32."""
    gradients = Engine.gradients

    def poisoned(self: Engine, epoch: Epoch, index: int) -> StepResult:
        result = gradients(self, epoch, index)
        if self.params.train.precision != "fp32" and index == 2:
            result.loss.fill_(math.nan)
        return result

    Engine.gradients = poisoned  # type: ignore[method-assign]


def train(model: str, recipe: dict[str, Any]) -> tuple[Record, str | None, list[str]]:
    """What is recorded, the reason to fall back, and what is told."""
    if step := recipe.pop("die_at", 0):
        die_at(step)
    if recipe.pop("poison", False):
        poison()
    chosen = params(model, train=RECIPE | recipe)
    told: list[str] = []
    done = run(chosen, told.append)
    return done.trained.record, done.fell_back, told


def main(out: Path, trainings: list[tuple[str, dict[str, Any]]]) -> None:
    """Train all, and write what came of them from the first process.

    One group serves them all, since a process cannot join a second one under torchrun; each
    training may ask for it once, whatever it falls back to.
    """
    found = []
    with process_group(torch.device("cpu")) as device:
        for model, recipe in trainings:
            devices = iter([device])
            training_run.process_group = lambda _, left=devices: nullcontext(next(left))  # type: ignore[assignment]
            found.append(train(model, recipe))
    if rank() == 0:
        out.write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
