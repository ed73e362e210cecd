"""Faults of other kinds, on which no limit was set: what a trial of them finds is what to expect.

Planted by `planting`. A kind that a limit is changed for belongs there, not here.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.later_faults import AVERAGES, UPDATES
from benchmarks.planting import LaterFault, Patches, gradients, on_engine, step_of, updates
from stages.training import ema, loop, schedule, trained
from stages.training.engine import Engine, weights_of


def _slightly_smooth(running: Engine) -> None:
    train = running.params.train.model_copy(update={"label_smoothing": 0.005})
    running.params = running.params.model_copy(update={"train": train})


def _decay_everything(running: Engine) -> None:
    for group in running.optimizer.param_groups:
        group["weight_decay"] = running.params.train.weight_decay


def _other_average(_: int) -> Patches:
    original = ema.Ema.__init__

    def altered(self: ema.Ema, model: nn.Module, decay: float) -> None:
        original(self, model, decay - 0.01)

    yield ema.Ema, "__init__", altered


def _warm_up(_: int) -> Patches:
    original = schedule.share_of_rate

    def altered(step: int, train: Any, steps_per_epoch: int) -> float:
        longer = train.model_copy(update={"warmup_epochs": 1})
        return original(step, longer, steps_per_epoch)

    yield schedule, "share_of_rate", altered


def _skipped(begin: int) -> Patches:
    """The gradients of one step are thrown away."""
    original = Engine.update

    def altered(self: Engine) -> None:
        if step_of(self) == begin:
            for value in self.model.parameters():
                value.grad = None
        original(self)

    yield Engine, "update", altered


def _half_gradients(running: Engine) -> None:
    """As if they had been sent between machines in bf16."""
    for value in running.model.parameters():
        if value.grad is not None:
            value.grad.copy_(value.grad.bfloat16())


def _forgotten(begin: int) -> Patches:
    """What the optimiser remembers is lost at one step, as by a resume that leaves it out."""
    original = Engine.update

    def altered(self: Engine) -> None:
        if step_of(self) == begin:
            for state in self.optimizer.state.values():
                for value in state.values():
                    if isinstance(value, Tensor) and value.ndim:
                        value.zero_()
        original(self)

    yield Engine, "update", altered


def _first_rate(running: Engine) -> Callable[[], None]:
    group = running.optimizer.param_groups[0]
    before = group["lr"]
    group["lr"] = before * 1.05

    def put_back() -> None:
        group["lr"] = before

    return put_back


def _part_lost(begin: int) -> Patches:
    """The last quarter of every batch is not learned from."""
    original = Engine._micro_batches

    def altered(self: Engine, batch: Any) -> Any:
        for inputs, targets in original(self, batch):
            kept = len(targets) * 3 // 4 if step_of(self) >= begin else len(targets)
            yield tuple(values[:kept] for values in inputs), targets[:kept]

    yield Engine, "_micro_batches", altered


def _still_norms(running: Engine) -> None:
    for module in running.model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _stale_statistics(_: int) -> Patches:
    """Kept weights have the running statistics of the first epoch."""
    first: dict[str, Tensor] = {}

    def altered(model: nn.Module) -> dict[str, Tensor]:
        found = weights_of(model)
        statistics = {key: value for key, value in found.items() if "running" in key}
        if not first:
            first.update(statistics)
        return found | first

    yield loop, "weights_of", altered


def _loaded(change: Callable[[nn.Module], None]) -> Callable[[int], Patches]:
    original = trained.filled

    def plant(_: int) -> Patches:
        def altered(*arguments: Any) -> Any:
            found = original(*arguments)
            change(found.model)
            return replace(found)

        yield trained, "filled", altered

    return plant


def _blue_first(model: nn.Module) -> None:
    model.register_forward_pre_hook(lambda _, inputs: (inputs[0].flip(1), *inputs[1:]))


def _cooler(model: nn.Module) -> None:
    model.register_forward_hook(lambda _, inputs, output: output * 1.01)


def _epsilon(running: Engine) -> None:
    for group in running.optimizer.param_groups:
        group["eps"] = 1e-6


def _way_back(change: Callable[[Tensor], Tensor], once: bool = False) -> Callable[[int], Patches]:
    """Alter the gradient of a weight in the middle of the model, at every step or at one alone."""

    def plant(begin: int) -> Patches:
        def around(running: Engine) -> Callable[[], None] | None:
            weights = [value for value in running.model.parameters() if value.ndim > 1]
            weight = weights[len(weights) // 2]

            def after() -> None:
                assert weight.grad is not None
                weight.grad.copy_(change(weight.grad))

            return None if once and step_of(running) > begin else after

        yield from gradients(around)(begin)

    return plant


def _without_a_row(grad: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(grad[:1]), grad[1:]])


MIDDLE, TEST = ("middle",), ("evaluation",)
HELD_OUT = {
    "label smoothing 0.005": LaterFault(gradients(_slightly_smooth), MIDDLE, ("loss",)),
    "decay of all parameters": LaterFault(updates(_decay_everything), MIDDLE, UPDATES),
    "average by 0.98": LaterFault(_other_average, ("start",), AVERAGES, "ema"),
    "warm-up of an epoch": LaterFault(_warm_up, ("start",), ("rates",)),
    "one step lost": LaterFault(_skipped, MIDDLE, UPDATES),
    "gradients in bf16": LaterFault(updates(_half_gradients), MIDDLE, ("gradient", *UPDATES)),
    "moments forgotten": LaterFault(_forgotten, MIDDLE, UPDATES),
    "rate of the first group": LaterFault(updates(_first_rate), MIDDLE, UPDATES),
    "a quarter of each batch lost": LaterFault(_part_lost, MIDDLE, ("loss", "input", "forward")),
    "norms that stand still": LaterFault(
        gradients(_still_norms), MIDDLE, ("module", "forward"), "norms"),
    "stale statistics of norms": LaterFault(
        _stale_statistics, ("start",), ("kept", "evaluation"), "norms"),
    "Adam's epsilon 1e-6": LaterFault(on_engine(_epsilon), ("start",), UPDATES, "adamw"),
    "a gradient 3 % larger": LaterFault(
        _way_back(lambda grad: 1.03 * grad), MIDDLE, ("gradient",)),
    "a row of a gradient lost": LaterFault(_way_back(_without_a_row), MIDDLE, ("gradient",)),
    "a row of a gradient lost once": LaterFault(
        _way_back(_without_a_row, once=True), ("last epoch",), ("gradient",)),
    "blue first in the evaluation": LaterFault(_loaded(_blue_first), TEST, ("evaluation",)),
    "answers 1 % more sure": LaterFault(_loaded(_cooler), TEST, ("evaluation",)),
}  # fmt: skip
