"""How far a norm's output is from the exact one: what this machine's own rounding makes of it.

A norm adds up many numbers of one sign, and machines do that very unlike: PyTorch's channels-last
batch norm on a CPU adds in float32 one after the other and is off by 2e-5 where a digit's dark
ground makes each rounding fall the same way; others are off by 1e-7. No constant tells the two from
a fault, but the same inputs in float64 do.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from stages.training.sketch import sketch_tensors

NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)

PER_NUMBER = 2.0**-27
"""What each number of a sum may add to its relative error: an eighth of the largest possible, and
three times what was measured. An error beyond that is no rounding of sums."""


def norm_error(module: nn.Module, inputs: object, output: object) -> float | None:
    """Relative distance of the output from that of float64, at most what long sums explain.

    None for what is no norm of one float32 tensor. The module is left as it is.
    """
    match inputs, output:
        case (Tensor() as entered,), Tensor() if isinstance(module, NORMS):
            pass
        case _:
            return None
    if {entered.dtype, output.dtype} != {torch.float32}:
        return None
    with torch.no_grad():
        exact = sketch_tensors([exact_norm(module, entered)])
    gap = torch.linalg.vector_norm(sketch_tensors([output]) - exact)
    error = float(gap / torch.linalg.vector_norm(exact).clamp(min=1e-30))
    return min(error, PER_NUMBER * _summed(module, entered))


def exact_norm(module: nn.Module, entered: Tensor) -> Tensor:
    """What the norm makes of its input in float64; running statistics stay as they are.

    On the CPU, for some accelerators have no float64. Gradients flow to the module's weights.
    """
    double = deepcopy(module).to("cpu", torch.float64)
    for part in double.modules():  # whoever watches the norm does not watch its copy
        part._forward_hooks.clear()
        part._forward_pre_hooks.clear()
    weights = {name: value.cpu().double() for name, value in module.named_parameters()}
    with torch.autocast("cpu", enabled=False):
        found: Tensor = functional_call(double, weights, (entered.cpu().double(),))
    return found


def _summed(module: nn.Module, entered: Tensor) -> int:
    """How many numbers a statistic is of."""
    if isinstance(module, _BatchNorm):
        return entered.numel() // entered.shape[1]
    if isinstance(module, nn.GroupNorm):
        return entered[0].numel() // module.num_groups
    return int(torch.Size(module.normalized_shape).numel())  # type: ignore[arg-type]
