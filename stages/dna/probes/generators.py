"""Probes of PyTorch's own random draws, which differ between CPU, CUDA and MPS by design.

The pipeline draws none of its randomness this way; the probes tell whether other code would
agree. Every generator is seeded here, and the global one is put back as it was.
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.nn import init

from stages.dna.probe import Compute, Probe

COUNT = 512


def _drawn(draw: Callable[[Tensor, Generator], Tensor]) -> Compute:
    """`draw` with an empty tensor on the probe's device and a seeded generator."""

    def compute(like: Tensor) -> Tensor:
        generator = torch.Generator(like.device).manual_seed(20_240_229)
        return draw(like.new_empty(32, COUNT // 32), generator)

    return compute


def _dropout(like: Tensor) -> Tensor:
    devices = [like.device] if like.device.type != "cpu" else []
    kind = like.device.type if devices else "cuda"
    with torch.random.fork_rng(devices, device_type=kind):
        torch.manual_seed(20_240_229)
        return F.dropout(like.new_ones(COUNT), 0.3)


def _randn(empty: Tensor, generator: Generator) -> Tensor:
    return torch.randn(COUNT, generator=generator, device=empty.device)


def _randint(empty: Tensor, generator: Generator) -> Tensor:
    return torch.randint(1000, (COUNT,), generator=generator, device=empty.device)


def _randperm(empty: Tensor, generator: Generator) -> Tensor:
    return torch.randperm(COUNT, generator=generator, device=empty.device)


def _multinomial(empty: Tensor, generator: Generator) -> Tensor:
    weights = torch.arange(1.0, 65.0, device=empty.device)
    return torch.multinomial(weights, COUNT, replacement=True, generator=generator)


_DRAWS: dict[str, Callable[[Tensor, Generator], Tensor]] = {
    "rand": lambda empty, generator: empty.uniform_(generator=generator),
    "randn": _randn,
    "randint": _randint,
    "randperm": _randperm,
    "bernoulli": lambda empty, generator: empty.bernoulli_(0.3, generator=generator),
    "exponential": lambda empty, generator: empty.exponential_(generator=generator),
    "multinomial": _multinomial,
    "trunc_normal": lambda empty, generator: init.trunc_normal_(empty, generator=generator),
    "kaiming_uniform": lambda empty, generator: init.kaiming_uniform_(empty, generator=generator),
}

PROBES = [
    *(Probe(name, _drawn(draw), ((0,),), has_reference=False) for name, draw in _DRAWS.items()),
    Probe("dropout", _dropout, ((0,),), has_reference=False),
]
