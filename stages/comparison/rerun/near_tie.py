"""Whether gradients that are apart at one state are apart by a choice that rounding makes.

Where two values are equal but for rounding, as in max-pooling or at zero in ReLU, another machine
may choose the other, and the gradients below jump by any amount while the way forward is as it was.
Here the same choices are made either way by moving what every layer gives by a few units in the
last place, every second time with norms computed in float64, for another machine may be better at
them by orders: a step that was computed like any of these is in order. No limit is wider for it, so
a fault of the backward pass stays one: whatever is moved, the gradients that it makes are not among
them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from stages.comparison.analysis.limits import Limits
from stages.comparison.analysis.rounding import first_beyond, near_tie
from stages.comparison.analysis.step_trace import Place, places_at
from stages.comparison.rerun.rebuilt_engine import epoch_of
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS
from stages.training.norm_error import NORMS, exact_norm
from stages.training.step_trace import watching

if TYPE_CHECKING:
    from stages.training.engine import Engine

TRIALS = 8
"""How often a step is computed with each of `ULPS`."""

ULPS = (1, 2, 4, 8)
"""How far values are moved at most; sums of many products are off by a few on other machines."""


def made_by_rounding(
    engine: "Engine", run: Run, state: dict[str, Any], rows: pd.DataFrame, limits: Limits
) -> bool:
    """Whether the run's step after a state is one that is made here by some other rounding.

    `rows` are those of the step as the state has it, and what one ULP does in it. It takes as long
    as it takes: the answer must not depend on how busy the machine is.
    """
    return any(
        first_beyond(places_beside(run, made.assign(rounding=rows["rounding"])), limits) is None
        for made in _steps_beside(engine, state, int(rows["step"].iloc[0]))
    )


def of_a_poorer_norm(places: list[Place], limits: Limits) -> bool:
    """Whether the run's machine is off at norms as this one is not, and gradients as by a choice.

    `places` are those of `places_beside`. What a better norm does is tried here; a poorer one has
    errors of its own, so no more is asked than of records alone.
    """
    worst = limits.operation or 0.0
    poorer = any(theirs > worst > ours for theirs, ours in (place.errors for place in places))
    return poorer and near_tie(places, limits) is not None


def places_beside(run: Run, rows: pd.DataFrame) -> list[Place]:
    """The run's places in the step of `rows`, beside those."""
    return places_at(run, replace(run, name="here", inside=rows), int(rows["step"].iloc[0]))


def _steps_beside(engine: "Engine", state: dict[str, Any], step: int) -> Iterator[pd.DataFrame]:
    """Rows of the step (from 1), each by another rounding."""
    epoch, index = epoch_of(engine, step)
    for seed, ulps in enumerate(np.repeat(ULPS, TRIALS)):
        engine.load_state_dict(deepcopy(state))
        moved = _other_rounding(engine.model, seed, int(ulps), exact=seed % 2 == 1)
        with moved, watching(engine, step) as inside:
            engine.gradients(epoch, index)
        engine.update()
        yield pd.DataFrame(inside.after_update(), columns=INSIDE_COLUMNS)


@contextmanager
def _other_rounding(model: nn.Module, seed: int, ulps: int, exact: bool) -> Iterator[None]:
    """Every value that a layer gives is moved at random; what is zero stays so.

    Values that are equal come apart so, which moving weights would not do to them. The unit is
    that of the value or of the layer's root mean square, whichever is larger: a sum that comes out
    near zero, where ReLU chooses, is off by the units of its terms. Before that norms are computed
    again in float64 where `exact` says so.
    """
    generators: dict[torch.device, torch.Generator] = {}

    def move(layer: nn.Module, inputs: Any, output: Any) -> Any:
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return output
        device = output.device
        if exact and isinstance(layer, NORMS):
            output = exact_norm(layer, inputs[0]).to(output)
        drawn = generators.setdefault(device, torch.Generator(device).manual_seed(seed))
        moved = torch.randint(-ulps, ulps + 1, output.shape, generator=drawn, device=device)
        least = output.float().square().mean().sqrt()
        unit = torch.finfo(output.dtype).eps * output.abs().clamp(min=least)
        return output + torch.where(output == 0, 0, unit * moved).to(output.dtype)

    layers = [module for module in model.modules() if not list(module.children())]
    with ExitStack() as held:
        for layer in layers:
            held.callback(layer.register_forward_hook(move).remove)
        yield
