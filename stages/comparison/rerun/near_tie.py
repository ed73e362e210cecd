"""Whether gradients that are apart at one state are apart by a choice that rounding makes.

Where two values are equal but for rounding, as in max-pooling or at zero in ReLU, another machine
may choose the other, and the gradients below jump by any amount while the way forward is as it was.
Here the same choices are made either way by moving weights by one ULP: a step that was computed
like any of these is in order. No limit is wider for it, so a fault of the backward pass stays one:
whatever is moved, the gradients that it makes are not among them.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from stages.training.step_trace import nudge, watching

if TYPE_CHECKING:
    from stages.training.batch import Epoch
    from stages.training.engine import Engine

TRIALS = 32
"""How often the weights are moved; measured: N of N near-ties of honest machines met by then."""


def steps_beside(
    engine: "Engine", state: dict[str, Any], epoch: "Epoch", index: int, trials: int = TRIALS
) -> Iterator[pd.DataFrame]:
    """Rows of step `index` (from 0) of the epoch, each from other weights within rounding."""
    for trial in range(trials):
        engine.load_state_dict(deepcopy(state))
        _move_weights(engine, trial)
        with watching(engine, 0) as inside:
            engine.gradients(epoch, index)
        engine.update()
        yield pd.DataFrame(inside.after_update())


def _move_weights(engine: "Engine", trial: int) -> None:
    """A random half of all weights by rounding, another one in every trial."""
    drawn = torch.Generator().manual_seed(trial)
    with torch.no_grad():
        for value in engine.model.parameters():
            unmoved = nudge(value, engine.params.train.precision)
            still = torch.randint(2, value.shape, generator=drawn).bool().to(value.device)
            value.copy_(torch.where(still, unmoved, value))
