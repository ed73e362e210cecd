"""Faults to plant into a run, each a mistake that somebody has made on one machine of two.

A fault changes the code that runs, not the parameters, so nothing declares it. `found` is what
the place that `compare` names must contain. Leaves other machines, which are no fault, to
`machines`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stages.core.device import autocast
from stages.models import BuiltModel
from stages.tasks.classify import Classify
from stages.training import engine, inference
from stages.training.batch import Epoch
from stages.training.engine import Engine, StepResult


@dataclass(frozen=True)
class Fault:
    """`plant` patches the modules of this process.

    `found` is looked for in the place that is named; `at` is the precision of the runs at which
    it is a fault, any if empty.
    """

    plant: Callable[[], None]
    found: str
    at: str = ""


def _change_model(change: Callable[[nn.Module], None]) -> None:
    """Have every model that the task builds altered."""
    build = Classify.build

    def altered(self: Classify, params: Any, classes: int) -> BuiltModel:
        built = build(self, params, classes)
        change(built.model)
        return built

    Classify.build = altered  # type: ignore[method-assign]


def _norms(model: nn.Module) -> Iterator[nn.BatchNorm2d]:
    return (module for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def _set_on_norms(name: str, value: float) -> None:
    def change(model: nn.Module) -> None:
        for norm in _norms(model):
            setattr(norm, name, value)

    _change_model(change)


def _replace_module(name: str, make: Callable[[], nn.Module]) -> None:
    _change_model(lambda model: model.set_submodule(name, make()))


def _compute_in(used: str) -> None:
    """The gradients are computed in another precision than was asked for."""
    engine.autocast = lambda device, precision: autocast(device, used)  # type: ignore[attr-defined]


def _label_smoothing() -> None:
    loss = Classify.loss
    Classify.loss = lambda self, outputs, targets, _: loss(self, outputs, targets, 0.1)  # type: ignore[method-assign]


def _change_input(change: Callable[..., Tensor], where: tuple[Any, ...]) -> None:
    """Wrap `to_input` as the given modules use it."""
    original = engine.preprocess  # type: ignore[attr-defined]
    for module in where:
        module.preprocess = partial(change, original)


def _unnormalised(original: Any, images: Tensor, px: int, mean: Tensor, std: Tensor, *rest: Any) -> Tensor:  # fmt: skip  # noqa: E501
    return original(images, px, torch.zeros_like(mean), torch.ones_like(std), *rest)


def _nearest(original: Any, images: Tensor, px: int, *rest: Any) -> Tensor:
    return original(nn.functional.interpolate(images, (px, px)), px, *rest)


def _blue_first(original: Any, images: Tensor, *rest: Any) -> Tensor:
    return original(images.flip(1), *rest)


def _change_batch(change: Callable[[Any, Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
    """Alter images and labels as they leave the augmentation."""
    apply = engine.Augmenter.apply  # type: ignore[attr-defined]

    def altered(self: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        return change(self, *apply(self, *arguments))

    engine.Augmenter.apply = altered  # type: ignore[attr-defined]


def _swap_class(_: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Class 2 is taken for class 3."""
    return images, torch.where(labels == 2, 3, labels)


def _mirrored(_: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return images.flip(3), labels


def _change_optimizer(change: Callable[[torch.optim.Optimizer], None]) -> None:
    make = engine.make_optimizer  # type: ignore[attr-defined]

    def altered(*arguments: Any) -> torch.optim.Optimizer:
        optimizer = make(*arguments)
        change(optimizer)
        return optimizer

    engine.make_optimizer = altered  # type: ignore[attr-defined]


def _set_in_groups(name: str, value: Any) -> None:
    def change(optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            group[name] = value

    _change_optimizer(change)


def _forget_head(optimizer: torch.optim.Optimizer) -> None:
    """The classifier's weight was not handed to the optimiser."""
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if p.shape[0] != 4 or p.ndim < 2]


def _stale_rate() -> None:
    """The rate stays what it was at the end of the first epoch."""
    update = Engine.update

    def altered(self: Engine) -> None:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        update(self)
        if self.schedule.last_epoch > self.steps_per_epoch:
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    Engine.update = altered  # type: ignore[method-assign]


def _drop_last_batch() -> None:
    create = Engine.__init__

    def altered(self: Engine, *arguments: Any) -> None:
        create(self, *arguments)
        self.steps_per_epoch -= 1

    Engine.__init__ = altered  # type: ignore[method-assign]


def _change_gradients(change: Callable[[Engine, Epoch, int], None]) -> None:
    """Alter the gradients after they were computed."""
    gradients = Engine.gradients

    def altered(self: Engine, epoch: Epoch, index: int) -> StepResult:
        result = gradients(self, epoch, index)
        change(self, epoch, index)
        return result

    Engine.gradients = altered  # type: ignore[method-assign]


def _clip(running: Engine, epoch: Epoch, index: int) -> None:
    torch.nn.utils.clip_grad_norm_(running.model.parameters(), 0.5)


def _other_order() -> None:
    """The order of the images is drawn from another seed."""
    start = Engine.epoch

    def altered(self: Engine, epoch: int) -> Epoch:
        found = start(self, epoch)
        return replace(found, order=found.order.roll(1), host_order=found.host_order.roll(1))

    Engine.epoch = altered  # type: ignore[method-assign]


def _evaluate_in_training_mode() -> None:
    """The evaluation leaves batch norms in training mode."""
    from stages.training import trained

    load = trained.filled

    def altered(*arguments: Any) -> Any:
        found = load(*arguments)
        found.model.train()
        found.model.eval = lambda: found.model
        return found

    trained.filled = altered


def _leaky() -> nn.Module:
    return nn.LeakyReLU(0.01, inplace=True)


FAULTS = {
    "bf16 for float32": Fault(
        lambda: _compute_in("bf16"), "`conv1.0` (float32 against bfloat16)", "fp32"),
    "float32 for bf16": Fault(
        lambda: _compute_in("fp32"), "`conv1.0` (bfloat16 against float32)", "bf16"),
    "batch norm eps": Fault(lambda: _set_on_norms("eps", 1e-3), "forward pass of `conv1.1`"),
    "batch norm momentum": Fault(lambda: _set_on_norms("momentum", 0.01), "running statistics"),
    "label smoothing": Fault(_label_smoothing, "in the loss"),
    "no normalisation": Fault(
        lambda: _change_input(_unnormalised, (engine, inference)), "images"),
    "nearest for bilinear": Fault(lambda: _change_input(_nearest, (engine, inference)), "images"),
    "blue, green, red": Fault(lambda: _change_input(_blue_first, (engine, inference)), "images"),
    "one class's labels swapped": Fault(lambda: _change_batch(_swap_class), "labels"),
    "mirrored images": Fault(lambda: _change_batch(_mirrored), "images"),
    "images in another order": Fault(_other_order, "images"),
    "weight decay on norms": Fault(lambda: _set_in_groups("weight_decay", 0.05), "optimiser"),
    "another epsilon in AdamW": Fault(lambda: _set_in_groups("eps", 1e-6), "optimiser"),
    "another beta in AdamW": Fault(lambda: _set_in_groups("betas", (0.9, 0.98)), "optimiser"),
    "head not in the optimiser": Fault(lambda: _change_optimizer(_forget_head), "optimiser"),
    "stale learning rate": Fault(_stale_rate, "learning rate"),
    "dropped last batch": Fault(_drop_last_batch, "steps"),
    "gradients clipped": Fault(lambda: _change_gradients(_clip), "gradient"),
    "leaky for plain ReLU": Fault(
        lambda: _replace_module("layer2.0.act1", _leaky), "forward pass of `layer2.0.act1`"),
    "average for max pooling": Fault(
        lambda: _replace_module("maxpool", lambda: nn.AvgPool2d(3, 2, 1)), "pass of `maxpool`"),
    "evaluated in training mode": Fault(_evaluate_in_training_mode, "evaluation"),
}  # fmt: skip
