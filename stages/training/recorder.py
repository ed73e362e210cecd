"""When a run leaves a record of itself: at which steps, and what of each.

The loop calls `start`, then `before_step`, `after_backward` and `after_update` around every step;
nothing that is trained is changed by it. Rows are made by `trace`, `step_trace` and `data_trace`.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stages.runs.schema import DATA_COLUMNS, SETTING_COLUMNS
from stages.training.batch import Epoch
from stages.training.checkpoint import Checkpoints
from stages.training.data_trace import hash_epoch, hash_steps
from stages.training.engine import Engine, StepResult
from stages.training.step_trace import (
    Inside,
    is_milestone,
    kept_rows,
    perturbed_rows,
    watching,
    weights_rows,
)
from stages.training.trace import grad_norm, hash_gradients, hash_tensors, record_step

Rows = list[dict[str, Any]]


@dataclass
class Record:
    """What a run has left so far: rows of the step trace, of its tensors, and of steps' insides.

    `data` has the hashes of every step of the epoch under way; see `data_trace`.
    """

    trace: Rows = field(default_factory=list)
    tensor_trace: Rows = field(default_factory=list)
    inside: Rows = field(default_factory=list)
    data: list[list[str]] = field(default_factory=list)
    initial_weights_hash: str = ""


class Recorder:
    """The record of one run, and its snapshots for replay beside its checkpoints.

    Without `checkpoints`, as in a replay, no state is kept and no step is recorded from within.
    """

    def __init__(self, engine: Engine, checkpoints: Checkpoints | None = None) -> None:
        self.engine, self.checkpoints = engine, checkpoints
        self.record = Record()
        train = engine.params.train
        self._traced, self._watches = train.trace_steps, not train.compile
        self._last = train.epochs * engine.steps_per_epoch
        self._sketches = train.snapshots
        self._snapshots = snapshot_steps(engine) if checkpoints else set()
        self._hooks = ExitStack()
        self._inside: Inside | None = None
        self._perturbed: Rows = []
        self._grads: dict[str, str] = {}
        self._grad_norm = 0.0

    def start(self) -> None:
        """Before the first step of a run that does not go on from a checkpoint."""
        self.record.initial_weights_hash = hash_tensors(self.engine.model.named_parameters())
        self._snapshot(0)

    def before_step(self, epoch: Epoch, index: int) -> None:
        """Before the gradients of step `index` (from 0) of the epoch."""
        done = self.engine.steps_before(epoch) + index
        watched = self._watches and done in self._snapshots
        self._perturbed = perturbed_rows(self.engine, epoch, index) if watched and not done else []
        watch = watching(self.engine, done + 1)
        self._inside = self._hooks.enter_context(watch) if watched else None

    def after_backward(self, epoch: Epoch, index: int) -> None:
        """Once the gradients are there, before they move the weights."""
        self._hooks.close()
        if self._is_traced(epoch, index):
            self._grads = hash_gradients(self.engine.model)
            self._grad_norm = grad_norm(self.engine.model)

    def after_update(self, epoch: Epoch, index: int, result: StepResult) -> None:
        """Once the weights and their average have moved."""
        step = self.engine.steps_before(epoch) + index + 1
        if self._inside is not None:
            self.record.inside += self._inside.after_update(self._perturbed)
        if self._sketches and (is_milestone(step) or step == self._last):
            self.record.inside += self._milestone(step)
        if self._is_traced(epoch, index):
            self._trace(step, epoch.number, result)
        self._snapshot(step)

    def flush(self, results: Sequence[StepResult]) -> None:
        """Bring the data of steps over from the device, in one go."""
        self.record.data += hash_steps(torch.stack([result.data for result in results]))

    def close_epoch(self) -> dict[str, str]:
        """Columns of the history about the data of the epoch, all of whose steps are flushed."""
        hashes, self.record.data = hash_epoch(self.record.data), []
        return hashes

    def finish(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """At the end: `weights`, by name, are kept as those after `step` steps."""
        if self._sketches:
            self.record.inside += kept_rows(self.engine.model, weights, step)

    def _is_traced(self, epoch: Epoch, index: int) -> bool:
        """The first steps in full, and of each epoch the last."""
        closes = index + 1 == self.engine.steps_per_epoch and self._traced > 0
        return self.engine.steps_before(epoch) + index < self._traced or closes

    def _milestone(self, step: int) -> Rows:
        model = self.engine.model
        rows = weights_rows(model, step)
        if self.engine.ema is not None:
            rows += weights_rows(model, step, self.engine.ema.model)
        return rows

    def _trace(self, step: int, epoch: int, result: StepResult) -> None:
        engine = self.engine
        row, tensors = record_step(
            engine.model, self._grads, step, epoch, float(result.loss), self._grad_norm
        )
        (data,) = hash_steps(result.data.unsqueeze(0))
        settings = [engine.last_lr, engine.ema and engine.ema.last_decay]
        beside = zip([*SETTING_COLUMNS, *DATA_COLUMNS], [*settings, *data], strict=True)
        self.record.trace.append(row | dict(beside))
        self.record.tensor_trace += tensors if step <= self._traced else []

    def _snapshot(self, step: int) -> None:
        if self.checkpoints is not None and step in self._snapshots:
            self.checkpoints.save_snapshot(step, self.engine.state_dict())


LATER_MB = 512
"""Disk for the states at the ends of epochs, beside the four early ones."""

STATE_SIZE = 4
"""A state counts as four times the weights: their average and two moments lie beside them."""


def snapshot_steps(engine: Engine) -> set[int]:
    """Steps after which the state is kept for replay.

    Early ones are 0, 1 %, 10 % and the end of the first epoch; later ones the ends of epochs 2, 4,
    8, … and the last step but one, as many of them as fit into `LATER_MB`.
    """
    if not engine.params.train.snapshots:
        return set()
    epochs, each = engine.params.train.epochs, engine.steps_per_epoch
    total = epochs * each
    weights = sum(value.nbytes for value in engine.model.state_dict().values())
    fit = LATER_MB * 2**20 // (STATE_SIZE * weights)
    powers = [2**power for power in range(epochs.bit_length(), 0, -1)]
    late = [max(0, total - 1), *(end * each for end in powers if end < epochs)]
    later = late[:: -(-len(late) // fit)] if fit else []
    return {0, max(1, total // 100), max(1, total // 10), each, *later}
