"""Batch norms folded into the convolutions before them, in a trunk that only computes.

In evaluation a batch norm is one factor and one summand per channel, which the weights and the bias
of the convolution before it can hold (Jacob et al., arXiv:1712.05877, section 3.2): a pass over the
maps less for each. Answers differ in their rounding. Networks that are trained, evaluated or
exported stay as they are.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Show = Callable[[nn.Module], Tensor]
TOLERANCE = 1e-4  # of the largest feature: rounding is a thousandth of it, a wrong fold thousands


@torch.no_grad()
def folded(model: nn.Module, show: Show) -> nn.Module:
    """A copy of a model in evaluation mode with its batch norms folded into convolutions.

    `show` puts a small batch through a model and returns the features that are asked for: on it is
    seen which convolution a batch norm follows. The model itself where there is none, or where the
    copy's features are others by more than rounding, as where an output of a convolution is used
    twice.
    """
    pairs, expected = _pairs(model, show)
    if not pairs:
        return model
    quick = copy.deepcopy(model)
    for convolution, norm in pairs.items():
        _fold(quick, convolution, norm)
    apart = (show(quick) - expected).abs().max()
    return quick if apart <= TOLERANCE * expected.abs().max() else model


def _pairs(model: nn.Module, show: Show) -> tuple[dict[str, str], Tensor]:
    """Names of convolutions, each with that of the batch norm that is fed by it; and features."""
    made: dict[int, tuple[str, Tensor, int]] = {}
    calls: list[str] = []
    found: dict[str, str] = {}

    def left(name: str, output: Tensor) -> None:
        calls.append(name)
        made[id(output)] = (name, output, output._version)  # kept, so that no id comes twice

    def taken(name: str, value: Tensor) -> None:
        calls.append(name)
        convolution, _, version = made.get(id(value), ("", value, -1))
        if value._version == version:  # as it left the convolution
            found[convolution] = name

    handles: list[Any] = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            note = partial(lambda name, module, args, output: left(name, output), name)
            handles.append(module.register_forward_hook(note))
        elif _is_foldable(module):
            note = partial(lambda name, module, args: taken(name, args[0]), name)
            handles.append(module.register_forward_pre_hook(note))
    try:
        features = show(model)
    finally:
        for handle in handles:
            handle.remove()
    once = {name for name in calls if calls.count(name) == 1}
    return {name: norm for name, norm in found.items() if {name, norm} <= once}, features


def _is_foldable(module: nn.Module) -> bool:
    """Of PyTorch's own kind, or timm's with an activation in it, known by name: timm is slow to
    import, and another subclass may compute anything.
    """
    known = type(module) is nn.BatchNorm2d or type(module).__name__ == "BatchNormAct2d"
    return known and getattr(module, "running_mean", None) is not None


def _fold(model: nn.Module, convolution: str, norm: str) -> None:
    """Put a batch norm into a convolution's weights, and its activation alone in its place."""
    into, one = model.get_submodule(convolution), model.get_submodule(norm)
    assert isinstance(into, nn.Conv2d)
    assert isinstance(one, nn.BatchNorm2d)
    assert one.running_mean is not None
    assert one.running_var is not None
    into.weight, into.bias = fuse_conv_bn_weights(
        into.weight, into.bias, one.running_mean, one.running_var, one.eps, one.weight, one.bias
    )
    model.set_submodule(norm, nn.Sequential(*one.children()))  # timm's drop and activation
