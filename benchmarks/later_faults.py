"""Kinds of faults on which limits were set: of data, training, averages and evaluation.

Planted by `planting`. `held_out_faults` has kinds that no limit was set on.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.planting import (
    LaterFault,
    Patches,
    epochs,
    gradients,
    on_engine,
    on_model,
    set_groups,
    test_split,
    updates,
)
from stages.core.device import autocast
from stages.training import augmentation, ema, engine, trained
from stages.training.batch import Epoch
from stages.training.engine import Engine
from stages.training.images import Normalization

LATE = ("middle", "last epoch")
ANY = ("start", *LATE)


def _as_the_first(running: Engine, epoch: Epoch) -> Epoch:
    first = _EPOCH(running, 1)
    return replace(epoch, order=first.order, host_order=first.host_order)


def _rolled(_: Engine, epoch: Epoch) -> Epoch:
    return replace(epoch, order=epoch.order.roll(1), host_order=epoch.host_order.roll(1))


def _same_draws(running: Engine, epoch: Epoch) -> Epoch:
    return replace(epoch, draws=running.augmenter.draw(1, running.device))


_EPOCH = Engine.epoch


def _no_clip(running: Engine) -> None:
    train = running.params.train.model_copy(update={"grad_clip": None})
    running.params = running.params.model_copy(update={"train": train})


def _smoother(running: Engine) -> None:
    train = running.params.train.model_copy(update={"label_smoothing": 0.02})
    running.params = running.params.model_copy(update={"train": train})


def _in_bf16(begin: int) -> Patches:
    state = {"late": False}

    def mark(_: Engine) -> None:
        state["late"] = True

    yield from gradients(mark)(begin)
    yield (
        engine,
        "autocast",
        lambda device, asked: autocast(device, "bf16" if state["late"] else asked),
    )


def _double_decay(running: Engine) -> Callable[[], None]:
    groups = running.optimizer.param_groups
    before = [group["weight_decay"] for group in groups]
    for group in groups:
        group["weight_decay"] *= 2

    def put_back() -> None:
        for group, value in zip(groups, before, strict=True):
            group["weight_decay"] = value

    return put_back


def _freeze(running: Engine) -> Callable[[], None]:
    """A weight in the middle of the model stays as it is."""
    weights = [value for value in running.model.parameters() if value.ndim > 1]
    weight = weights[len(weights) // 2]
    before = weight.detach().clone()

    def put_back() -> None:
        with torch.no_grad():
            weight.copy_(before)

    return put_back


def _wrong_label(running: Engine) -> None:
    running._labels = running._labels.clone()
    running._labels[7] = (running._labels[7] + 1) % running._labels.max()


def _duplicate(running: Engine) -> None:
    running._pixels, running._labels = running._pixels.clone(), running._labels.clone()
    running._pixels[7], running._labels[7] = running._pixels[8], running._labels[8]


def _tanh(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.GELU):
            module.approximate = "tanh"


def _norm_momentum(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.05


def _average_is_the_last(_: int) -> Patches:
    yield Engine, "averaged", property(lambda self: self.model)


def _late_average(_: int) -> Patches:
    """The average's decay is its last one from the start, so that it holds the random start."""
    original = ema.Ema.__init__

    def altered(self: ema.Ema, model: nn.Module, decay: float) -> None:
        original(self, model, decay)
        self.updates = 10**6

    yield ema.Ema, "__init__", altered


def _shifted(split: Any) -> Any:
    import numpy as np

    return replace(split, pixels=np.roll(split.pixels, 1, axis=3))


def _without_last_batch(split: Any) -> Any:
    kept = len(split.labels) // 64 * 64
    return replace(
        split, pixels=split.pixels[:kept], labels=split.labels[:kept], names=split.names[:kept]
    )


def _other_channels(_: int) -> Patches:
    original = trained.filled

    def altered(*arguments: Any) -> Any:
        found = original(*arguments)
        mean, std = found.view.normalization.mean, found.view.normalization.std
        other = Normalization((*mean[1:], mean[0]), std)
        return replace(found, view=replace(found.view, normalization=other))

    yield trained, "filled", altered


def _crop_of_two(begin: int) -> Patches:
    """Images moved by one pixel more than was drawn."""
    original = augmentation.Augmenter.apply

    def altered(self: Any, images: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        return original(self, images.roll(1, 3), *rest)

    del begin
    yield augmentation.Augmenter, "apply", altered


DATA, UPDATES = ("data", "input", "target"), ("update", "weights")
AVERAGES = ("average", "kept", "evaluation")
LATER_FAULTS = {
    "no reshuffle": LaterFault(epochs(_as_the_first), LATE, DATA),
    "same flips each epoch": LaterFault(epochs(_same_draws), LATE, DATA),
    "another order": LaterFault(epochs(_rolled), ("last epoch",), DATA),
    "one wrong label": LaterFault(on_engine(_wrong_label), ("start",), DATA),
    "one duplicate image": LaterFault(on_engine(_duplicate), ("start",), DATA),
    "images moved by a pixel": LaterFault(_crop_of_two, ("start",), DATA),
    "bf16": LaterFault(_in_bf16, LATE, ("module", "gradient", "loss", "forward", "weights")),
    "GELU by tanh": LaterFault(on_model(_tanh), ("start",), ("module",), "GELU"),
    "label smoothing 0.02": LaterFault(gradients(_smoother), ANY, ("loss", "forward")),
    "no clipping": LaterFault(gradients(_no_clip), ANY, ("gradient",), "clip"),
    "momentum 0.89": LaterFault(updates(set_groups(momentum=0.89)), ANY, UPDATES, "sgd"),
    "another beta": LaterFault(updates(set_groups(betas=(0.9, 0.99))), ANY, UPDATES, "adamw"),  # type: ignore[arg-type]
    "twice the decay": LaterFault(updates(_double_decay), ANY, UPDATES),
    "a frozen layer": LaterFault(updates(_freeze), ANY, UPDATES),
    "no average": LaterFault(_average_is_the_last, ("start",), AVERAGES, "ema"),
    "average of the random start": LaterFault(
        _late_average, ("start",), AVERAGES, "ema"),
    "momentum of norms": LaterFault(
        on_model(_norm_momentum), ("start",), AVERAGES, "norms"),
    "last test batch dropped": LaterFault(
        test_split(_without_last_batch), ("evaluation",), ("evaluation",)),
    "test images shifted": LaterFault(test_split(_shifted), ("evaluation",), ("evaluation",)),
    "test mean of another channel": LaterFault(_other_channels, ("evaluation",), ("evaluation",)),
}  # fmt: skip
