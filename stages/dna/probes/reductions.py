"""Probes of sums along one direction: accumulation order, vector width, threads."""

import torch
from torch.nn import functional as F

from stages.dna.probe import Probe

PROBES = [
    Probe("sum_long", torch.sum, ((200_003,),)),
    Probe("mean_long", torch.mean, ((100_000,),)),
    Probe("sum_rows", lambda x: x.sum(1), ((64, 1000),)),
    Probe("sum_columns", lambda x: x.sum(0), ((1000, 64),)),
    Probe("sum_maps", lambda x: x.sum((0, 2, 3)), ((8, 16, 16, 16),)),
    Probe("var", lambda x: x.var(1), ((64, 777),)),
    Probe("norm_long", torch.linalg.vector_norm, ((50_000,),)),
    Probe("prod", lambda x: (x * 0.125 + 1).prod(1), ((64, 200),)),
    Probe("cumsum", lambda x: x.cumsum(0), ((2000,),)),
    Probe("logcumsumexp", lambda x: x.logcumsumexp(0), ((500,),)),
    Probe("average_pool", lambda x: F.avg_pool2d(x, 3, 2, 1), ((4, 16, 9, 9),)),
    Probe("global_pool", lambda x: F.adaptive_avg_pool2d(x, 1), ((8, 64, 7, 7),)),
]
