"""Dropout and drop-path masks that are the same on every machine.

PyTorch draws masks with the device's own generator, which differs between CPU, CUDA and MPS.
`portable_masks` takes the two calls through which modules of PyTorch, timm and torchvision drop
(`F.dropout`, `Tensor.bernoulli_`) and answers with masks from `stream(seed, "masks", step, part)`,
32 bits of integer per element compared with a threshold, drawn on the CPU. Independent of device,
precision, thread count and memory layout.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stages.core import streams
from stages.core.device import send

RATES = ("p", "drop_prob", "drop_rate", "dropout")
_drops: "WeakKeyDictionary[nn.Module, bool]" = WeakKeyDictionary()


def portable_masks(
    model: nn.Module, seed: int, step: int, part: int = 0
) -> AbstractContextManager[Any]:
    """Draw the masks of one forward pass from the streams of `seed`, in the order of the calls.

    `step` counts from the start of training, `part` the processes that share a batch. Does nothing
    for a model that drops nothing.
    """
    if model not in _drops:
        _drops[model] = any(_rate(module) > 0 for module in model.modules())
    return _Masks(seed, step, part) if _drops[model] else nullcontext()


def _rate(module: nn.Module) -> float:
    rates = [getattr(module, name, 0.0) for name in RATES]
    return max(float(rate) for rate in rates if isinstance(rate, (int, float)))


class _Masks(TorchFunctionMode):
    def __init__(self, seed: int, step: int, part: int) -> None:
        super().__init__()
        self._source = streams.stream(seed, "masks", step, part)
        self._handlers = _handlers()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        handler = self._handlers.get(func)
        if handler is None:
            return func(*args, **(kwargs or {}))
        return handler(self._source, *args, **(kwargs or {}))


def _dropout(
    source: np.random.Philox,
    input: Tensor,  # noqa: A002
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Tensor:
    """`F.dropout`: zero a share `p` of the elements and scale the others by 1/(1-p)."""
    if not training or p == 0:
        return input
    kept = _kept(source, input.shape, 1.0 - p, input.device)
    scale = kept.to(input.dtype) * (1.0 / (1.0 - p))
    return input.mul_(scale) if inplace else input * scale


def _bernoulli_(source: np.random.Philox, tensor: Tensor, p: float = 0.5, **_: Any) -> Tensor:
    """`Tensor.bernoulli_`: one with probability `p`, else zero; how drop path draws."""
    return tensor.copy_(_kept(source, tensor.shape, p, tensor.device))


def _kept(
    source: np.random.Philox, shape: torch.Size, share: float, device: torch.device
) -> Tensor:
    """A bool mask with `share` of ones: 32-bit integers below a threshold, two from each draw."""
    count = shape.numel()
    words = streams.integers(source, -(-count // 2))
    halves = np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1)
    below = halves.reshape(-1)[:count] < np.uint64(round(share * 2**32))
    mask = torch.from_numpy(below).view(shape)
    return send(mask, device)


@cache
def _handlers() -> dict[Any, Callable[..., Tensor]]:
    """A compiled model leaves its graph to draw: NumPy's generators cannot be traced.

    Made when a model drops, for `torch.compiler` takes a second to import.
    """
    return {
        torch.nn.functional.dropout: torch.compiler.disable(_dropout),
        Tensor.bernoulli_: torch.compiler.disable(_bernoulli_),
    }
