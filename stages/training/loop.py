"""The epochs of a run: train, validate, keep the best, checkpoint, go on from where it stopped.

Data in, data out: takes parameters and splits, returns weights, history and record.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from stages.core.errors import DivergedError, TrainingError
from stages.datasets.pixels import Split
from stages.training.batch import Epoch
from stages.training.checkpoint import Checkpoints
from stages.training.distributed import require_agreement
from stages.training.engine import Engine, StepResult, weights_of
from stages.training.inference import Outputs
from stages.training.progress_bar import ProgressBar
from stages.training.recorder import Record, Recorder


@dataclass
class TrainState:
    """How far a run has come and what it found; with the engine's state, a checkpoint."""

    steps: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    # Of the epoch under way: its time, and the losses and correct counts of its steps so far.
    epoch_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    correct: list[list[int]] = field(default_factory=list)
    best_epoch: int = 0
    best_rank: list[float] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A finished training: the kept weights [name -> tensor on the CPU] and how they came about."""

    engine: Engine
    weights: dict[str, Tensor]
    progress: TrainState
    record: Record


def fit(
    engine: Engine,
    val: Split | None,
    checkpoints: Checkpoints,
    log: Callable[[str], None] = print,
) -> Trained:
    """Train `engine` to its last epoch, or until early stopping.

    Goes on from the newest whole checkpoint when there is one, with the same result as if it had
    never stopped. Raises DivergedError when a loss is not finite, or a weight in the end.
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
        self.validate = engine.evaluator(val, "val") if val and len(val.labels) else None
        if self.validate is None and self.params.train.early_stopping is not None:
            raise TrainingError(
                "`train.early_stopping` needs validation images, but `subset.val`, "
                f"{self.params.subset.val}, is none of so few. Ask for more, or set "
                "`train.early_stopping: null`."
            )
        self.state = TrainState()
        self.bar = ProgressBar(engine.params.train.epochs * engine.steps_per_epoch, log)
        self.recorder = Recorder(engine, checkpoints)

    def run(self) -> Trained:
        if not self._resumed():
            self.recorder.start()
        with self.bar:
            while not self._is_over():
                self._epoch(self.state.steps // self.engine.steps_per_epoch + 1)
        weights = self.state.best_weights or weights_of(self.engine.averaged)
        self._check_weights(weights)
        self.recorder.finish(self.state.best_epoch * self.engine.steps_per_epoch, weights)
        return Trained(self.engine, weights, self.state, self.recorder.record)

    def _is_over(self) -> bool:
        total = self.params.train.epochs * self.engine.steps_per_epoch
        return self.state.steps >= total or self._out_of_patience()

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
                self._clock(started)
                self._checkpoint()  # whose time counts as little as after an epoch
                started = time.perf_counter()
        self._flush(pending, number)
        self._close_epoch(number, started)

    def _clock(self, started: float) -> None:
        """Count the time since `started`, of this epoch and of the run."""
        seconds = time.perf_counter() - started
        self.state.epoch_seconds += seconds
        self.state.seconds += seconds

    def _step(self, epoch: Epoch, index: int) -> StepResult:
        self.recorder.before_step(epoch, index)
        result = self.engine.gradients(epoch, index)
        self.recorder.after_backward(epoch, index)
        if self.engine.device.type == "cpu":  # elsewhere asking would make the device wait
            self._check(float(result.loss), epoch.number, index + 1)
        self.engine.update()
        self.state.steps += 1
        self.recorder.after_update(epoch, index, result)
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
            self.recorder.flush(pending)
        return []

    def _check(self, loss: float, epoch: int, step: int, of: str = "training loss") -> None:
        if loss - loss == 0:  # false for NaN and both infinities
            return
        precision = self.params.train.precision
        cure = "set `train.precision: fp32`, or " if precision != "fp32" else ""
        raise DivergedError(
            f"The {of} became {loss} in epoch {epoch}, step {step}, at {precision}. "
            f"Nothing was kept as a result. To cure it, {cure}lower `train.lr` "
            f"({self.params.train.lr:g}), add warm-up (`train.warmup_epochs`) or clip gradients "
            "(`train.grad_clip: 1.0`).",
            epoch=epoch,
            step=step,
            precision=precision,
        )

    def _check_weights(self, weights: dict[str, Tensor]) -> None:
        """No loss was taken after the last update where nothing validates."""
        values = [value for value in weights.values() if value.is_floating_point()]
        total = float(torch.stack([value.double().sum() for value in values]).sum())
        per_epoch = self.engine.steps_per_epoch
        self._check(total, self.state.steps // per_epoch, per_epoch, "sum of the weights")

    def _close_epoch(self, number: int, started: float) -> None:
        state, names = self.state, self.engine.task.metrics
        outputs = self.validate(self.engine.averaged) if self.validate else None
        if outputs:
            self._check(outputs.loss, number, self.engine.steps_per_epoch, "validation loss")
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
        row |= self.recorder.close_epoch()
        row["val_images_hash"] = outputs.inputs.images_hash if outputs else None
        self._clock(started)
        row["seconds"] = state.epoch_seconds
        state.losses, state.correct, state.epoch_seconds = [], [], 0.0
        state.history.append(row)
        self._keep_if_best(number, row, outputs)
        self.bar.epoch(row, names[0], self.params.train.epochs)
        if self._is_over() or self.checkpoints.is_due():
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

    def _checkpoint(self) -> None:
        state = {
            "engine": self.engine.state_dict(),
            "progress": vars(self.state),
            "record": json.dumps(vars(self.recorder.record)),  # far quicker than as objects
        }
        self.checkpoints.save(self.state.steps, state)

    def _resumed(self) -> bool:
        """Whether it goes on from a checkpoint, which is loaded."""
        found = self.checkpoints.load()
        require_agreement("the step to go on from", found and found[0])
        if found is None:
            return False
        step, state = found
        self.engine.load_state_dict(state["engine"])
        self.state = TrainState(**state["progress"])
        self.recorder.record = Record(**json.loads(state["record"]))
        epoch, within = divmod(step, self.engine.steps_per_epoch)
        where = f"epoch {epoch}" + (f", step {within} of epoch {epoch + 1}" if within else "")
        self.log(
            f"going on after {where} of {self.params.train.epochs} (checkpoint at step {step})"
        )
        self.bar.skip(step)
        return True
