"""A stretch of a run, from one of its kept states towards the next, computed here.

Once as it is, and once after one ULP of the first layer: how far that drives the two apart is what
rounding alone can do on the way. What it means is left to `judge`.
"""

import math
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from stages.runs.run import Run
from stages.runs.schema import (
    DATA_COLUMNS,
    INSIDE_COLUMNS,
    SETTING_COLUMNS,
    STEP_COLUMNS,
    TENSOR_COLUMNS,
)
from stages.runs.steps import as_table
from stages.training.engine import weights_of
from stages.training.recorder import Record, Recorder
from stages.training.step_trace import nudge, weights_rows

if TYPE_CHECKING:
    from stages.training.engine import Engine

State = dict[str, Any]


@dataclass(frozen=True)
class Gap:
    """A tensor of the next kept state. `gap` is the norm of its difference from what was computed
    here, `by_one_ulp` the same of the stretch after one ULP, `moved` how far it went in the
    stretch, `size` its own norm.
    """

    name: str
    gap: float
    by_one_ulp: float
    moved: float
    size: float


@dataclass(frozen=True)
class Stretch:
    """Steps `after` + 1 to `until` of a run.

    `here` and `beside` are the record with what training records of these steps: computed here, and
    after one ULP. `gaps` are known at the next kept state.
    """

    after: int
    until: int
    here: Run
    beside: Run
    gaps: tuple[Gap, ...] = ()


def compute_stretch(
    engine: "Engine", record: Run, states: tuple[State, State | None], span: range, seconds: float
) -> Stretch:
    """From the first of `states` the steps of `span`, as many as fit into `seconds`.

    `span` counts from 1; the other state is B's own at its end, None where none was kept.
    """
    started, after = time.monotonic(), span.start - 1
    before = tensors_of(states[0])
    engine.load_state_dict(deepcopy(states[0]))  # an optimiser works on in what it was given
    kept = _kept_after(engine, record)
    left, done = _go_on(engine, span, kept, started + seconds / 2)
    here = with_steps(record, "here", left)
    ours = tensors_of(engine.state_dict())
    engine.load_state_dict(deepcopy(states[0]))
    weight = engine.first_values()
    unmoved = nudge(weight, engine.params.train.precision)
    left, _ = _go_on(engine, range(span.start, done + 1), kept)
    beside = with_steps(record, "here after one ULP", left)
    gaps: tuple[Gap, ...] = ()
    complete = done + 1 == span.stop
    if complete and states[1] is not None:
        gaps = tuple(_gaps(tensors_of(states[1]), ours, tensors_of(engine.state_dict()), before))
    with torch.no_grad():
        weight.copy_(unmoved)  # features are in no state
    return Stretch(after, done, here, beside, gaps)


def _kept_after(engine: "Engine", record: Run) -> int:
    """The step whose weights the run keeps; 0 where it does not tell."""
    return int(record.train.get("best_epoch") or 0) * engine.steps_per_epoch


def _go_on(
    engine: "Engine", span: range, kept: int, deadline: float = math.inf
) -> tuple[Record, int]:
    """The record of the steps, and the last of them before the deadline; one step at least."""
    recorder, epoch = Recorder(engine), None
    recorder.record.inside += weights_rows(engine.model, span.start - 1)
    engine.model.train()
    step = span.start
    for step in span:
        number, index = divmod(step - 1, engine.steps_per_epoch)
        if epoch is None or index == 0:
            epoch = engine.epoch(number + 1)
        recorder.before_step(epoch, index)
        result = engine.gradients(epoch, index)
        recorder.after_backward(epoch, index)
        engine.update()
        recorder.after_update(epoch, index, result)
        if step == kept:
            recorder.finish(step, weights_of(engine.averaged))
        if time.monotonic() > deadline:
            break
    return recorder.record, step


def with_steps(record: Run, name: str, left: Record) -> Run:
    """The run with its steps replaced by those that were computed here."""
    return replace(
        record,
        name=name,
        trace=as_table(left.trace, [*STEP_COLUMNS, *SETTING_COLUMNS, *DATA_COLUMNS]),
        tensors=as_table(left.tensor_trace, TENSOR_COLUMNS) if left.tensor_trace else None,
        inside=as_table(left.inside, INSIDE_COLUMNS),
    )


def tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Copies of all tensors of numbers in a state, by dotted name, on the CPU."""
    return dict(_walk(state, ""))


def _walk(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.is_floating_point() and value.ndim:
            yield name.removeprefix("."), value.detach().cpu().clone()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _walk(item, f"{name}.{key}")


def _gaps(
    theirs: dict[str, Tensor],
    ours: dict[str, Tensor],
    beside: dict[str, Tensor],
    before: dict[str, Tensor],
) -> Iterator[Gap]:
    for name, value in ours.items():
        if name not in theirs or theirs[name].shape != value.shape:
            continue
        others = (theirs[name], beside[name], before.get(name, torch.zeros_like(value)))
        gap, by_one_ulp, moved = (
            float(torch.linalg.vector_norm(value.double() - other.double())) for other in others
        )
        yield Gap(name, gap, by_one_ulp, moved, float(torch.linalg.vector_norm(value.double())))
