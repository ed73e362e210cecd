"""Probes of order among equals, and of sums into shared places."""

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.dna.probe import Probe, gradient


def _tied(x: Tensor) -> Tensor:
    """Values of which most occur many times."""
    return (x * 8).round()


def _places(x: Tensor, count: int) -> Tensor:
    """A place in 0 … count-1 for each row of x, many rows to a place."""
    return (torch.arange(len(x), device=x.device) * 7919 % 101) % count


def _index_add(x: Tensor) -> Tensor:
    return x.new_zeros(10, *x.shape[1:]).index_add(0, _places(x, 10), x)


def _scatter_add(x: Tensor) -> Tensor:
    where = _places(x, 10)[:, None].expand_as(x)
    return x.new_zeros(10, x.shape[1]).scatter_add(0, where, x)


def _index_put(x: Tensor) -> Tensor:
    return x.new_zeros(10, x.shape[1]).index_put((_places(x, 10),), x, accumulate=True)


def _embedding(weight: Tensor) -> Tensor:
    rows = (torch.arange(400, device=weight.device) * 7919 % 101) % len(weight)
    return F.embedding(rows, weight)


def _max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, 1)


PROBES = [
    Probe("sort_ties", lambda x: _tied(x).sort().indices, ((1000,),), False),
    Probe("topk_ties", lambda x: _tied(x).topk(40).indices, ((8, 300),), False),
    Probe("argmax_ties", lambda x: _tied(x).argmax(1), ((64, 50),), False),
    Probe("max_pool_ties", lambda x: F.max_pool2d(_tied(x), 3, 2, 1, return_indices=True)[1],
          ((4, 8, 11, 11),), False),
    Probe("max_pool_grad", gradient(_max_pool, 0), ((4, 8, 11, 11),), adds_atomically=True),
    Probe("index_add", _index_add, ((1000, 16),), adds_atomically=True),
    Probe("scatter_add", _scatter_add, ((1000, 16),), adds_atomically=True),
    Probe("index_put", _index_put, ((1000, 16),), adds_atomically=True),
    Probe("embedding_grad", gradient(_embedding, 0), ((10, 32),), adds_atomically=True),
    Probe("bincount", lambda x: torch.bincount(_places(x, 10), x), ((1000,),),
          adds_atomically=True),
]  # fmt: skip
