"""One ULP on purpose: what it does to a training is the yardstick of rounding.

Covers the perturbed run; the perturbed step is measured in `step_trace`.
"""

import torch
from torch import Tensor, nn


def perturb_by_one_ulp(model: nn.Module) -> None:
    """Perturb the run: the largest weight of the first layer moves to the next float.

    A small weight's ULP may be swallowed by the first sum it enters.
    """
    with torch.no_grad():
        weight = first_layer_weight(model)
        place = torch.unravel_index(weight.abs().argmax(), weight.shape)
        weight[place] = torch.nextafter(weight[place], torch.full_like(weight[place], torch.inf))


def first_layer_weight(model: nn.Module) -> Tensor:
    """The weight of the model's first convolution or linear layer."""
    kinds = (nn.Conv2d, nn.Linear)
    layer = next(module for module in model.modules() if isinstance(module, kinds))
    weight: Tensor = layer.weight
    return weight
