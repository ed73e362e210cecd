"""What a probe is: one small operation on inputs that are the same to the bit everywhere.

Inputs are dyadic (24-bit integers over 2^23, exact in float32), drawn from integer streams, in
fresh and therefore aligned memory: the bits of some kernels depend on alignment. Their mantissas
are full, so that products must round and a fused multiply-add shows. The probes themselves lie in
`probes`; running and judging them is left to `numerics`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from stages.core import streams

SEED = 0
Compute = Callable[..., Tensor]


@dataclass(frozen=True)
class Probe:
    """A named operation.

    `compute` takes one tensor per shape and returns one tensor, in whatever precision the inputs
    have. `has_reference` is False where a float64 result would not be the same thing (random
    draws). `adds_atomically` marks operations that sum, or may sum, by atomic adds on
    accelerators, in an order that changes from run to run unless PyTorch is asked for determinism.
    """

    name: str
    compute: Compute
    shapes: tuple[tuple[int, ...], ...]
    has_reference: bool = True
    adds_atomically: bool = False

    def inputs(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The input tensors, on the CPU."""
        return [
            dyadic(shape, self.name, index).to(dtype) for index, shape in enumerate(self.shapes)
        ]


def dyadic(shape: tuple[int, ...], *purpose: str | int) -> Tensor:
    """A float32 tensor of multiples of 2^-23 in [-1, 1), the same on every machine."""
    count = int(np.prod(shape))
    drawn = streams.integers(streams.stream(SEED, "probe", *purpose), count)
    integers = (drawn >> np.uint64(40)).astype(np.int64) - 2**23
    values = torch.from_numpy(integers.astype(np.float32) / np.float32(2**23))
    return torch.empty(shape).copy_(values.reshape(shape))


def gradient(function: Compute, *wanted: int) -> Compute:
    """The gradients of `function` for the inputs at `wanted`, flat, as a probe's `compute`."""

    def compute(*inputs: Tensor) -> Tensor:
        leaves = [tensor.detach().requires_grad_(i in wanted) for i, tensor in enumerate(inputs)]
        output = function(*leaves)
        towards = _cotangent(tuple(output.shape)).to(output)
        # The gradient that reaches `output` is `towards` times one: exact. Handing `towards` to
        # autograd instead would import a second's worth of symbolic mathematics.
        (output * towards).sum().backward()
        return flat(leaves[i].grad for i in wanted)

    return compute


def flat(tensors: Iterable[Tensor | None]) -> Tensor:
    """Tensors laid end to end; None is passed over."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors if tensor is not None])


@cache
def _cotangent(shape: tuple[int, ...]) -> Tensor:
    return dyadic(shape, "cotangent")
