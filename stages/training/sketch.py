"""Sixteen numbers for tensors of any size: they tell how far two machines' tensors are apart.

A hash says whether bits agree; distances between sketches say how much, without keeping tensors.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from stages.core import streams
from stages.runs.schema import BUCKETS

SAMPLE = 2**18


def sketch_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """A linear sketch, float64 [16]: distances between sketches estimate those between tensors.

    Count-sketch (Charikar, Chen & Farach-Colton 2002) with interleaved buckets and portable
    signs: the expected squared distance is exact, its relative deviation about a third. Of a
    tensor with more than 2^18 values an evenly spaced part is taken.
    """
    total = torch.zeros(BUCKETS, dtype=torch.float64)
    for index, tensor in enumerate(tensors):
        flat = tensor.detach().reshape(-1)
        flat = flat[:: -(-len(flat) // SAMPLE) or 1].cpu().double()
        # Each tensor has signs of its own, or equal places of two tensors would add up.
        first = -7919 * index % SAMPLE
        signs = _signs()[first : first + len(flat)]
        signed = nn.functional.pad(flat * signs, (0, -len(flat) % BUCKETS))
        total += signed.reshape(-1, BUCKETS).sum(0)
    return total


@lru_cache(maxsize=1)
def _signs() -> Tensor:
    """Twice over, so that those of any tensor lie in one piece."""
    drawn = streams.integers(streams.stream(0, "sketch"), SAMPLE) >> np.uint64(63)
    return torch.from_numpy(np.tile(drawn.astype(np.float64) * 2 - 1, 2))
