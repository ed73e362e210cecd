"""Probes of matrix products: BLAS and its blocking of the inner dimension."""

import torch
from torch.nn import functional as F

from stages.dna.probe import Probe, gradient

PROBES = [
    Probe("mm", torch.mm, ((64, 256), (256, 64))),
    Probe("mm_long_inner", torch.mm, ((8, 4096), (4096, 8))),
    Probe("mm_odd", torch.mm, ((37, 113), (113, 29))),
    Probe("mm_transposed", lambda a, b: a @ b.T, ((48, 200), (48, 200))),
    Probe("mm_float64", lambda a, b: a.double() @ (b.double() / 3), ((32, 96), (96, 32)), False),
    Probe("addmm", torch.addmm, ((40, 24), (40, 300), (300, 24))),
    Probe("bmm", torch.bmm, ((6, 32, 64), (6, 64, 32))),
    Probe("mv", torch.mv, ((64, 512), (512,))),
    Probe("dot", torch.dot, ((10_000,), (10_000,))),
    Probe("einsum", lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b), ((2, 3, 16, 32),) * 2),
    Probe("linear", F.linear, ((64, 256), (128, 256), (128,))),
    Probe("linear_one_row", F.linear, ((1, 512), (10, 512), (10,))),
    Probe("linear_ragged", F.linear, ((7, 256), (128, 256), (128,))),
    Probe("linear_grad_input", gradient(F.linear, 0), ((64, 128), (96, 128), (96,))),
    Probe("linear_grad_weight", gradient(F.linear, 1, 2), ((128, 96), (48, 96), (48,))),
]
