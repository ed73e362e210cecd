"""Initial weights that are the same on every machine: random operations drawn from our streams.

PyTorch's own normal draws differ between instruction sets of one processor. While a model is
constructed, `portable_randomness` takes every random operation that reaches PyTorch's dispatcher
and fills its result from `stream(seed, "weights", call)`, in float64 rounded once to the
tensor's type, whichever library asked. A random operation that it does not know is an error,
never a silent draw. PyTorch's generators are not touched.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from stages.core import streams
from stages.core.errors import ModelError

Draw = Callable[[np.random.Philox, int], NDArray[Any]]

_BLOCK = 1 << 16
_aten = torch.ops.aten


@contextmanager
def portable_randomness(seed: int, purpose: str = "weights") -> Iterator[None]:
    """Draw all that is random in the block from the streams of `seed` and `purpose`.

    Raises ModelError at a random operation that has no portable form here.
    """
    # PyTorch's own truncation has changed from inversion to rejection between versions.
    same_truncation = mock.patch.object(torch.nn.init, "trunc_normal_", _trunc_normal_)
    with same_truncation, _PortableRandomness(seed, purpose):
        yield


class _PortableRandomness(TorchDispatchMode):
    def __init__(self, seed: int, purpose: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = (seed, purpose)
        self._calls = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare every start the import of PyTorch's compiler: no model is compiled while built."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket is _aten.erfinv_:
            return _erfinv_(*args)
        if not _is_random(func):
            return func(*args, **kwargs)
        source = streams.stream(*self._name, self._calls)
        self._calls += 1
        kwargs.pop("generator", None)
        if func.overloadpacket in _IN_PLACE:
            return _fill(args[0], source, _IN_PLACE[func.overloadpacket](*args[1:], **kwargs))
        if func in _FACTORIES:
            return _FACTORIES[func](source, *args, **kwargs)
        raise ModelError(
            f"This model draws its initial weights with {func}, for which there is no draw that "
            "is the same on every machine. Choose another model."
        )


def _is_random(operation: Any) -> bool:
    """Whether an operation draws; attention is tagged for a dropout that no new model has."""
    attention = operation.name().startswith("aten::_scaled_dot_product")
    return torch.Tag.nondeterministic_seeded in operation.tags and not attention


def _normal(mean: float = 0.0, std: float = 1.0) -> Draw:
    return lambda source, count: mean + std * streams.normals(source, count)


def _uniform(low: float = 0.0, high: float = 1.0) -> Draw:
    return lambda source, count: low + (high - low) * streams.uniforms(source, count)


def _bernoulli(share: float = 0.5) -> Draw:
    return lambda source, count: (streams.uniforms(source, count) < share).astype(np.float64)


def _integer(low: int, high: int) -> Draw:
    return lambda source, count: np.floor(_uniform(low, high)(source, count))


def _erfinv_(tensor: torch.Tensor) -> torch.Tensor:
    """The inverse error function in place: truncated normals are uniforms put through it."""
    if not tensor.is_meta:
        x = tensor.detach().double().numpy()
        p = np.clip((x + 1.0) * 0.5, 2.0**-54, 1.0 - 2.0**-53)
        tensor.detach().copy_(torch.from_numpy(streams.normal_quantile(p) * math.sqrt(0.5)))
    return tensor


def _trunc_normal_(
    tensor: torch.Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: None = None,
) -> torch.Tensor:
    """`torch.nn.init.trunc_normal_` by inversion: normal numbers in [a, b]."""
    low, high = (math.erf((bound - mean) / (std * math.sqrt(2))) for bound in (a, b))
    with torch.no_grad():
        tensor.uniform_(low, high).erfinv_()
        return tensor.mul_(std * math.sqrt(2)).add_(mean).clamp_(a, b)


def _new(size: Any, draw: Draw, source: np.random.Philox, **options: Any) -> torch.Tensor:
    return _fill(torch.empty(size, **options), source, draw)


def _new_integers(size: Any, draw: Draw, source: np.random.Philox, **options: Any) -> torch.Tensor:
    return _new(size, draw, source, **{"dtype": torch.int64, **options})


def _permutation(source: np.random.Philox, count: int, **options: Any) -> torch.Tensor:
    return torch.from_numpy(streams.order(source, count)).to(**_given(options))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in ("dtype", "device") if options.get(key) is not None}


_IN_PLACE: dict[Any, Callable[..., Draw]] = {
    _aten.normal_: _normal,
    _aten.uniform_: _uniform,
    _aten.bernoulli_: _bernoulli,
}
_FACTORIES: dict[Any, Callable[..., torch.Tensor]] = {
    _aten.rand.default: lambda source, size, **kw: _new(size, _uniform(), source, **kw),
    _aten.randn.default: lambda source, size, **kw: _new(size, _normal(), source, **kw),
    _aten.randint.default: lambda source, high, size, **kw: _new_integers(
        size, _integer(0, high), source, **kw
    ),
    _aten.randint.low: lambda source, low, high, size, **kw: _new_integers(
        size, _integer(low, high), source, **kw
    ),
    _aten.randperm.default: _permutation,
}


def _fill(tensor: torch.Tensor, source: np.random.Philox, draw: Draw) -> torch.Tensor:
    """Fill a tensor in its logical order, block by block, rounding once to its type."""
    if tensor.is_meta:
        return tensor
    drawn = np.empty(tensor.numel(), np.int64 if not tensor.is_floating_point() else np.float64)
    for start in range(0, drawn.size, _BLOCK):
        part = drawn[start : start + _BLOCK]
        part[:] = draw(source, part.size)
    tensor.detach().copy_(torch.from_numpy(drawn).view(tensor.shape))
    return tensor
