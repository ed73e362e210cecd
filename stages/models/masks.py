"""Dropout and drop-path masks that are the same on every machine.

PyTorch draws masks with the device's own generator, which differs between CPU, CUDA and MPS.
`portable_masks` takes the calls through which modules of PyTorch, timm and torchvision drop
(dropout of elements, of channels and within attention, `Tensor.bernoulli_`) and answers with masks
from `stream(seed, "masks", step, part)`, 32 bits of integer per element compared with a threshold,
drawn on the CPU. Independent of device, precision, thread count and memory layout. What draws in
another way is found by `own_draws_only`, which a rehearsal of the training asks.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, partial
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from stages.core import streams
from stages.core.device import send
from stages.core.errors import ModelError

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


@contextmanager
def own_draws_only(device: torch.device) -> Iterator[None]:
    """Raise ModelError when something in the block draws from PyTorch's generator of the device.

    No seed of a run sets that one and no checkpoint keeps it.
    """
    before = _generator_states(device)
    yield
    if not all(map(torch.equal, before, _generator_states(device))):
        raise ModelError(
            "This model draws random numbers in training in a way that cannot be repeated here "
            "(beside dropout and drop path, as RReLU does): they would differ on other machines "
            "and after a resume. Choose another model."
        )


def _generator_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    elif device.type == "mps":
        states.append(torch.mps.get_rng_state())
    return states


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


def _channel_dropout(
    source: np.random.Philox,
    input: Tensor,  # noqa: A002
    *rate: Any,
    **options: Any,
) -> Tensor:
    """`F.dropout1d`, `F.dropout2d`, `F.dropout3d`: whole channels of [b, c, …]."""
    channels = input.new_ones([*input.shape[:2], *[1] * (input.dim() - 2)])
    return input * _dropout(source, channels, *rate, **options)


def _attention(
    source: np.random.Philox,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """`F.scaled_dot_product_attention`: its shares [..., l, s] are those of an identity's rows."""
    options |= {"attn_mask": attn_mask, "is_causal": is_causal}
    if dropout_p == 0:
        return scaled_dot_product_attention(query, key, value, **options)
    rows = torch.eye(key.shape[-2], dtype=value.dtype, device=value.device)
    shares = scaled_dot_product_attention(query, key, rows.expand(*key.shape[:-1], -1), **options)
    return _dropout(source, shares, dropout_p) @ value


def _multi_head_attention(source: np.random.Philox, *args: Any, **kwargs: Any) -> Any:
    """`F.multi_head_attention_forward`, whose own calls no mode sees."""
    with (
        mock.patch.object(F, "dropout", partial(_dropout, source)),
        mock.patch.object(F, "scaled_dot_product_attention", partial(_attention, source)),
    ):
        return F.multi_head_attention_forward(*args, **kwargs)


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
    answers: dict[Any, Callable[..., Any]] = {
        F.dropout: _dropout,
        F.dropout1d: _channel_dropout,
        F.dropout2d: _channel_dropout,
        F.dropout3d: _channel_dropout,
        F.scaled_dot_product_attention: _attention,
        F.multi_head_attention_forward: _multi_head_attention,
        Tensor.bernoulli_: _bernoulli_,
    }
    return {func: torch.compiler.disable(answer) for func, answer in answers.items()}
