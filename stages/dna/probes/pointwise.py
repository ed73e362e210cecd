"""Probes of functions of one number: the variants of exp, erf and division, and fused steps.

The length is no multiple of a vector, so that the scalar code of the tail is measured as well.
"""

import torch
from torch.nn import functional as F

from stages.dna.probe import Probe, gradient

_ONE = ((1031,),)
_THREE = ((1031,),) * 3

PROBES = [
    Probe("exp", lambda x: torch.exp(x * 16), _ONE),
    Probe("log", lambda x: torch.log(x.abs() * 64 + 2**-12), _ONE),
    Probe("expm1", torch.expm1, _ONE),
    Probe("tanh", lambda x: torch.tanh(x * 4), _ONE),
    Probe("sigmoid", lambda x: torch.sigmoid(x * 8), _ONE),
    Probe("erf", lambda x: torch.erf(x * 3), _ONE),
    Probe("sin", lambda x: torch.sin(x * 32), _ONE),
    Probe("rsqrt", lambda x: torch.rsqrt(x.abs() + 2**-12), _ONE),
    Probe("pow", lambda x: torch.pow(x.abs() + 2**-12, 0.75), _ONE),
    Probe("gelu", lambda x: F.gelu(x * 4), _ONE),
    Probe("gelu_grad", gradient(lambda x: F.gelu(x * 4), 0), _ONE),
    Probe("gelu_tanh", lambda x: F.gelu(x * 4, approximate="tanh"), _ONE),
    Probe("silu", lambda x: F.silu(x * 8), _ONE),
    Probe("silu_grad", gradient(lambda x: F.silu(x * 8), 0), _ONE),
    Probe("softplus", lambda x: F.softplus(x * 8), _ONE),
    Probe("addcmul", torch.addcmul, _THREE),
    Probe("addcdiv", lambda x, y, z: torch.addcdiv(x, y, z.abs() + 0.25), _THREE),
    Probe("lerp", torch.lerp, _THREE),
]
