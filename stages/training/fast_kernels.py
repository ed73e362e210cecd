"""Which layers are computed otherwise than PyTorch would, on a CPU: `train.fast_kernels`.

PyTorch's convolutions (oneDNN) are made for large maps. On the 8x8 to 1x1 maps of a small picture
their gradients cost up to twenty times what the same sums cost as a matrix product, and in
bfloat16 threads wait for each other spinning, which beside other work takes a hundred times as
long. The rules below are measured (docs/speed.md). The model stays as it is: while the context is
active its calls of `F.conv2d`, `F.linear` and `Tensor.norm` are answered by
`training.convolution_kernels`, and outside of it (export, counting, Grad-CAM) nothing is different.
Nothing happens on CUDA and MPS.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.functional import conv2d, linear

from stages.training.convolution_kernels import (
    FOLD,
    NARROW,
    Pair,
    cut_taps,
    depthwise_convolution,
    euclidean_norm,
    product,
    window_convolution,
)

FEW_PIXELS = 16  # of an output map: windows and a product beat a convolution's weight gradient
MODERATE_PIXELS = 256  # beyond, windows would take more memory than they are worth
WORTH_A_PRODUCT = 2**24  # multiplications of a linear layer, below which the call itself counts


_plain_norm = Tensor.norm


def fast_kernels(wanted: bool = True) -> AbstractContextManager[None]:
    """The context in which a model on the CPU runs forward, if `wanted`."""
    return _answered() if wanted else nullcontext()


@contextmanager
def _answered() -> Iterator[None]:
    """No `TorchFunctionMode`, which would take all other calls through Python too: 5 % of a step
    of ShuffleNet.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in _ANSWERS]
    for owner, name, answer in _ANSWERS:
        setattr(owner, name, answer)
    try:
        yield
    finally:
        for owner, name, answer in before:
            setattr(owner, name, answer)


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """`F.conv2d`, by the rule that fits its shape."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    if x.ndim != 4 or isinstance(padding, str) or not channels_last:
        return conv2d(x, weight, bias, stride, padding, dilation, groups)
    steps, pads, gaps = _pair(stride), _pair(padding), _pair(dilation)
    kernel, pads = cut_taps(x, weight, steps, pads, gaps)
    depthwise = groups > 1 and groups == x.shape[1] == len(weight)
    half = _autocast_dtype()
    if half is None:
        return _by_rule(x, kernel, bias, steps, pads, gaps, groups, depthwise)
    used = torch.float32 if depthwise else half
    x, kernel, bias = x.to(used), kernel.to(used), None if bias is None else bias.to(used)
    with torch.autocast("cpu", enabled=False):
        return _by_rule(x, kernel, bias, steps, pads, gaps, groups, depthwise).to(half)


def _by_rule(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dilation: Pair,
    groups: int, depthwise: bool,
) -> Tensor:  # fmt: skip
    taps = weight.shape[2:].numel()
    dense = groups == 1 and (dilation == (1, 1) or taps == 1)
    outputs = _size(x, weight, stride, padding)
    if dense and taps == 1 and padding == (0, 0) and _pays_as_product(x, stride, outputs):
        seen = x if max(stride) == 1 else x[:, :, :: stride[0], :: stride[1]]
        return product(seen, weight.flatten(1), bias, 1)
    if dense and taps > 1 and _pays_in_windows(x, stride, outputs):
        return window_convolution(x, weight, bias, stride, padding)
    if depthwise and dilation == (1, 1) and _pays_in_pairs(x, taps, outputs):
        return depthwise_convolution(x, weight, bias, stride, padding)
    return conv2d(x, weight, bias, stride, padding, dilation, groups)


def _pays_as_product(x: Tensor, stride: Pair, outputs: int) -> bool:
    """In float32 oneDNN's 1x1 convolution is good from 4x4 pixels on, unless it strides."""
    return x.dtype == torch.bfloat16 or outputs <= 4 or max(stride) > 1


def _pays_in_pairs(x: Tensor, taps: int, outputs: int) -> bool:
    pairs = x.shape[2] * x.shape[3] * outputs
    return (taps > 9 and pairs <= 4096) or (taps > 1 and pairs <= 16 and x.shape[1] >= 128)


def _pays_in_windows(x: Tensor, stride: Pair, outputs: int) -> bool:
    """In bfloat16 oneDNN's threads spin for each other also where it strides, and in the stem,
    but in the stem not where it has matrix units to compute on.
    """
    strides = max(stride) > 1 and outputs <= MODERATE_PIXELS
    stem = x.shape[1] < NARROW and not _has_matrix_units()
    if x.dtype == torch.bfloat16 and (strides or stem):
        return True
    return outputs <= FEW_PIXELS and x.shape[1] >= NARROW


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`F.linear` in float32; bfloat16 products are good as they are."""
    rows = x.numel() // x.shape[-1]
    worth = rows >= 8 * FOLD and x.numel() * len(weight) >= WORTH_A_PRODUCT
    if worth and x.dtype == torch.float32 and _autocast_dtype() is None:
        return product(x, weight, bias, -1)
    return linear(x, weight, bias)


def _norm(
    x: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Tensor:
    """`Tensor.norm` of order 2 over given dims, as global response normalisation asks for it."""
    if p != 2 or not isinstance(dim, tuple) or not keepdim or dtype is not None:
        plain: Tensor = _plain_norm(x, p, dim, keepdim, dtype)
        return plain
    return euclidean_norm(x, dim)


@cache
def _has_matrix_units() -> bool:
    """Whether the CPU has AMX, for bfloat16 products of 16x32 tiles."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def _autocast_dtype() -> torch.dtype | None:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _size(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> int:
    """Pixels of an output map of an undilated convolution."""
    high, wide = (
        (x.shape[axis + 2] + 2 * padding[axis] - weight.shape[axis + 2]) // stride[axis] + 1
        for axis in (0, 1)
    )
    return high * wide


_ANSWERS: tuple[tuple[Any, str, Any], ...] = (
    (F, "conv2d", _convolution),
    (F, "linear", _linear),
    (Tensor, "norm", _norm),
)
