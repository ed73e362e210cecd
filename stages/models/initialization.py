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
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from stages.core import streams
from stages.core.errors import ModelError

Draw = Callable[[np.random.Philox, int], NDArray[Any]]
Storages = dict[int, torch.UntypedStorage]
"""Memory by its address; held, so that no other tensor comes to lie there."""


class HasModel(Protocol):
    """What a model comes in."""

    @property
    def model(self) -> torch.nn.Module:
        """The model itself."""


Made = TypeVar("Made", bound=HasModel)

_filled = ContextVar("filled", default=False)
_BLOCK = 1 << 16
_aten = torch.ops.aten


@contextmanager
def portable_randomness(
    seed: int, purpose: str = "weights", undrawn: Storages | None = None
) -> Iterator[None]:
    """Draw all that is random in the block from the streams of `seed` and `purpose`.

    Where `undrawn` is given, tensors that would be filled in place keep what lies in their memory,
    and their storages are put there. Raises ModelError at a random operation that has no portable
    form here.
    """
    # PyTorch's own truncation has changed from inversion to rejection between versions.
    same_truncation = mock.patch.object(torch.nn.init, "trunc_normal_", _trunc_normal_)
    with same_truncation, _PortableRandomness(seed, purpose, undrawn):
        yield


@contextmanager
def to_be_filled() -> Iterator[None]:
    """What models built in the block have in their `state_dict` is loaded over: spare its draws,
    which take seconds for tens of millions of weights.
    """
    token = _filled.set(True)
    try:
        yield
    finally:
        _filled.reset(token)


def initialized(make: Callable[[], Made], seed: int) -> Made:
    """The model that `make` makes, its weights drawn from the streams of `seed`.

    Within `to_be_filled` they are not, unless something beside the weights was to be drawn.
    """
    if _filled.get():
        undrawn: Storages = {}
        with portable_randomness(seed, undrawn=undrawn):
            made = make()
        if _all_are_weights(made.model, undrawn):
            return made
    with portable_randomness(seed):
        return make()


def _all_are_weights(model: torch.nn.Module, undrawn: Storages) -> bool:
    """Whether what was not drawn is in the model's `state_dict`, or all of the model's tensors are,
    whatever was made and discarded on the way.
    """
    state = {_address(tensor) for tensor in model.state_dict().values()}
    own = [value for module in model.modules() for value in vars(module).values()]
    others = [*model.buffers(), *(value for value in own if isinstance(value, torch.Tensor))]
    return undrawn.keys() <= state or all(_address(tensor) in state for tensor in others)


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class _PortableRandomness(TorchDispatchMode):
    def __init__(self, seed: int, purpose: str, undrawn: Storages | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = (seed, purpose)
        self._calls = 0
        self._undrawn = undrawn

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare every start the import of PyTorch's compiler: no model is compiled while built."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket is _aten.erfinv_:
            return args[0] if self._is_undrawn(args[0]) else _erfinv_(*args)
        if not _is_random(func):
            return func(*args, **kwargs)
        source = streams.stream(*self._name, self._calls)
        self._calls += 1
        kwargs.pop("generator", None)
        if func.overloadpacket in _IN_PLACE:
            if self._undrawn is not None:
                self._undrawn[_address(args[0])] = args[0].untyped_storage()
                return args[0]
            return _fill(args[0], source, _IN_PLACE[func.overloadpacket](*args[1:], **kwargs))
        if func in _FACTORIES:
            return _FACTORIES[func](source, *args, **kwargs)
        raise ModelError(
            f"This model draws its initial weights with {func}, for which there is no draw that "
            "is the same on every machine. Choose another model."
        )

    def _is_undrawn(self, tensor: torch.Tensor) -> bool:
        return _address(tensor) in (self._undrawn or {})


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
