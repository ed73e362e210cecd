"""Computations in which Metal's kernels were seen to depend on what has nothing to do with them.

They run on MPS alone, so that the digests of all other machines stay as they are.
"""

import torch
from torch import Tensor

from stages.dna.probe import Probe


def _after_another_batch(values: Tensor, weights: Tensor) -> Tensor:
    """More than 32,768 outputs, for which a kernel was chosen by an earlier, smaller batch."""
    torch.nn.functional.linear(values[:7], weights)
    return torch.nn.functional.linear(values, weights)


def _stride_zero(row: Tensor, weights: Tensor) -> Tensor:
    """A matrix whose rows are one row in memory."""
    return row.expand(64, -1) @ weights


PROBES = (
    Probe("mps_linear_after_another_batch", _after_another_batch, ((300, 64), (128, 64)),
          has_reference=False),
    Probe("mps_mm_stride_zero", _stride_zero, ((1, 64), (64, 32)), has_reference=False),
)  # fmt: skip
