"""The epochs of a run: train, validate, keep the best, checkpoint, go on from where it stopped.

Data in, data out: takes parameters and splits, returns weights, history and trace. Leaves the
single step to `engine`, files to `stages.train`.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stages.core.errors import DivergedError
from stages.datasets.pixels import Split
from stages.training.checkpoint import Checkpoints
from stages.training.distributed import require_agreement
from stages.training.engine import Engine, Epoch, StepResult, view_of, weights_of
from stages.training.inference import Evaluator, Outputs
from stages.training.progress_bar import ProgressBar
from stages.training.step_trace import is_milestone, perturbed_rows, watching, weights_row
from stages.training.trace import grad_norm, hash_gradients, hash_tensors, record_step


@dataclass
class TrainState:
    """How far a run has come and what it found; with the engine's state, a checkpoint."""

    steps: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    trace: list[dict[str, Any]] = field(default_factory=list)
    tensor_trace: list[dict[str, Any]] = field(default_factory=list)
    inside: list[dict[str, Any]] = field(default_factory=list)
    # Of the epoch under way: its time, and the losses and correct counts of its steps so far.
    epoch_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    correct: list[list[int]] = field(default_factory=list)
    best_epoch: int = 0
    best_rank: list[float] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    initial_weights_hash: str = ""


@dataclass(frozen=True)
class Trained:
    """A finished training: the kept weights [name -> tensor on the CPU] and how they came about."""

    engine: Engine
    weights: dict[str, Tensor]
    progress: TrainState
    resumed_after: int | None


def fit(
    engine: Engine,
    val: Split | None,
    checkpoints: Checkpoints,
    log: Callable[[str], None] = print,
) -> Trained:
    """Train `engine` to its last epoch, or until early stopping.

    Goes on from the newest whole checkpoint when there is one, with the same result as if it had
    never stopped. Raises DivergedError when a loss is not finite.
    """
    return _Fit(engine, val, checkpoints, log).run()


class _Fit:
    def __init__(
        self,
        engine: Engine,
        val: Split | None,
        checkpoints: Checkpoints,
        log: Callable[[str], None],
    ) -> None:
        self.engine, self.params, self.log = engine, engine.params, log
        self.checkpoints = checkpoints
        self.validate = _validator(engine, val)
        self.state = TrainState()
        self.bar = ProgressBar(engine.params.train.epochs * engine.steps_per_epoch, log)
        self.snapshot_steps = snapshot_steps(engine)

    def run(self) -> Trained:
        resumed_after = self._resume()
        if resumed_after is None:
            self.state.initial_weights_hash = hash_tensors(self.engine.model.named_parameters())
            self._snapshot()
        with self.bar:
            while self.state.steps < self._total() and not self._out_of_patience():
                self._epoch(self.state.steps // self.engine.steps_per_epoch + 1)
        weights = self.state.best_weights or weights_of(self.engine.averaged)
        return Trained(self.engine, weights, self.state, resumed_after)

    def _total(self) -> int:
        return self.params.train.epochs * self.engine.steps_per_epoch

    def _epoch(self, number: int) -> None:
        started = time.perf_counter()
        epoch = self.engine.epoch(number)
        first = self.state.steps % self.engine.steps_per_epoch
        pending: list[StepResult] = []
        self.engine.model.train()
        every = self.params.train.checkpoint_steps
        for index in range(first, self.engine.steps_per_epoch):
            pending.append(self._step(epoch, index))
            self.bar.step()
            last = index + 1 == self.engine.steps_per_epoch
            if every and self.state.steps % every == 0 and not last:
                pending = self._flush(pending, number)
                started = self._clock(started)
                self._checkpoint()
        self._flush(pending, number)
        self._close_epoch(number, started)

    def _clock(self, started: float) -> float:
        """Count the time since `started`, of this epoch and of the run; return the present."""
        now = time.perf_counter()
        self.state.epoch_seconds += now - started
        self.state.seconds += now - started
        return now

    def _step(self, epoch: Epoch, index: int) -> StepResult:
        kept = self.state.steps in self.snapshot_steps and not self.params.train.compile
        perturbed = (
            perturbed_rows(self.engine, epoch, index) if kept and self.state.steps == 0 else ()
        )
        with watching(self.engine, self.state.steps + 1) if kept else nullcontext() as inside:
            result = self.engine.gradients(epoch, index)
        step = self.state.steps + 1
        in_full = step <= self.params.train.trace_steps
        closes = index + 1 == self.engine.steps_per_epoch and self.params.train.trace_steps > 0
        if in_full or closes:
            grads, norm = hash_gradients(self.engine.model), grad_norm(self.engine.model)
        if self.engine.device.type == "cpu":  # elsewhere asking would make the device wait
            self._check(float(result.loss), epoch.number, index + 1)
        self.engine.update()
        if inside is not None:
            self.state.inside += inside.after_update(perturbed)
        if self.snapshot_steps and is_milestone(step):
            self.state.inside.append(weights_row(self.engine.model, step))
        self.state.steps = step
        if in_full or closes:
            row, rows = record_step(
                self.engine.model, grads, step, epoch.number, float(result.loss), norm
            )
            self.state.trace.append(row)
            self.state.tensor_trace += rows if in_full else []
        self._snapshot()
        return result

    def _flush(self, pending: list[StepResult], epoch: int) -> list[StepResult]:
        """Bring results over from the device, in one go, and check them."""
        if pending:
            losses = torch.stack([result.loss for result in pending]).tolist()
            for loss in losses:
                self._check(loss, epoch, len(self.state.losses) + 1)
                self.state.losses.append(loss)
            counts = torch.stack([result.correct.sum(0) for result in pending]).tolist()
            self.state.correct += counts
        return []

    def _check(self, loss: float, epoch: int, step: int) -> None:
        if loss - loss == 0:  # false for NaN and both infinities
            return
        precision = self.params.train.precision
        cure = "set `train.precision: fp32`, or " if precision != "fp32" else ""
        raise DivergedError(
            f"The training loss became {loss} in epoch {epoch}, step {step}, at {precision}. "
            f"Nothing was kept as a result. To cure it, {cure}lower `train.lr` "
            f"({self.params.train.lr:g}), add warm-up (`train.warmup_epochs`) or clip gradients "
            "(`train.grad_clip: 1.0`).",
            epoch=epoch,
            step=step,
            precision=precision,
        )

    def _close_epoch(self, number: int, started: float) -> None:
        state, names = self.state, self.engine.task.metrics
        outputs = self.validate(self.engine.averaged) if self.validate else None
        row: dict[str, Any] = {
            "epoch": number,
            "lr": self.engine.last_lr,
            "train_loss": sum(state.losses) / len(state.losses),
            "val_loss": outputs.loss if outputs else None,
        }
        seen = len(state.losses) * self.engine.batch_size
        for position, name in enumerate(names):
            row[f"train_{name}"] = sum(counts[position] for counts in state.correct) / seen
            row[f"val_{name}"] = (
                float(outputs.correct[:, position].double().mean()) if outputs else None
            )
        self._clock(started)
        row["seconds"] = state.epoch_seconds
        state.losses, state.correct, state.epoch_seconds = [], [], 0.0
        state.history.append(row)
        self._keep_if_best(number, row, outputs)
        self.bar.epoch(row, names[0], self.params.train.epochs)
        self._checkpoint()

    def _keep_if_best(self, number: int, row: dict[str, Any], outputs: Outputs | None) -> None:
        """Best by validation: mean of the task's accuracies, then loss; without one, the last."""
        if outputs is None or self.params.train.keep == "last":
            self.state.best_epoch = number
            return
        rank = [float(outputs.correct.double().mean()), -float(row["val_loss"])]
        if not self.state.best_rank or rank > self.state.best_rank:
            self.state.best_epoch, self.state.best_rank = number, rank
            self.state.best_weights = weights_of(self.engine.averaged)

    def _out_of_patience(self) -> bool:
        patience = self.params.train.early_stopping
        if patience is None or self.state.steps % self.engine.steps_per_epoch:
            return False
        without = len(self.state.history) - self.state.best_epoch
        return without >= patience

    def _snapshot(self) -> None:
        if self.state.steps in self.snapshot_steps:
            self.checkpoints.save_snapshot(self.state.steps, self.engine.state_dict())

    def _checkpoint(self) -> None:
        state = {"engine": self.engine.state_dict(), "so_far": vars(self.state)}
        self.checkpoints.save(self.state.steps, state)

    def _resume(self) -> int | None:
        found = self.checkpoints.load()
        require_agreement("the step to go on from", found and found[0])
        if found is None:
            return None
        step, state = found
        self.engine.load_state_dict(state["engine"])
        self.state = TrainState(**state["so_far"])
        epoch, within = divmod(step, self.engine.steps_per_epoch)
        where = f"epoch {epoch}" + (f", step {within} of epoch {epoch + 1}" if within else "")
        self.log(
            f"going on after {where} of {self.params.train.epochs} (checkpoint at step {step})"
        )
        self.bar.skip(step)
        return step


def snapshot_steps(engine: Engine) -> set[int]:
    """Steps after which the state is kept for replay: 0, 1 %, 10 %, the end of the first epoch."""
    if not engine.params.train.snapshots:
        return set()
    total = engine.params.train.epochs * engine.steps_per_epoch
    return {0, max(1, total // 100), max(1, total // 10), engine.steps_per_epoch}


def _validator(engine: Engine, val: Split | None) -> Evaluator | None:
    if val is None or len(val.labels) == 0:
        return None
    seed = engine.params.seed
    return Evaluator(engine.task, val, view_of(engine), engine.device, seed, "val")
