"""One of several training processes, started by torchrun: `… distributed_child MODEL OUT RECIPE`.

RECIPE is JSON over the recipe below, with "die_at": the second process kills itself after so many
steps, and "poison": the third loss at lower precision than float32 is not a number.
"""

import json
import math
import os
import pickle
import signal
import sys
from pathlib import Path
from typing import Any

from stages.training.distributed import rank
from stages.training.engine import Engine, Epoch, StepResult
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


def main(model: str, out: Path, recipe: dict[str, Any]) -> None:
    """Train, and write progress and the reason to fall back from the first process."""
    if step := recipe.pop("die_at", 0):
        die_at(step)
    if recipe.pop("poison", False):
        poison()
    chosen = params(model, train=RECIPE | recipe)
    done = run(chosen, lambda line: print(f"[{rank()}] {line}", flush=True))
    if rank() == 0:
        out.write_bytes(pickle.dumps((done.trained.progress, done.fell_back)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
