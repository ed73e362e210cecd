"""Networks that train with branches and run without: their branches are merged before timing.

RepVGG (Ding et al., arXiv:2101.03697), MobileOne (arXiv:2206.04040) and their kin sum parallel
convolutions, which are linear and can be folded into one. The merging is timm's; here stand the
calibration that makes outputs comparable, and the refusal where nothing can be merged.
"""

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from stages.measures.profiling.profiled_model import Inputs
from stages.measures.profiling.try_measure import Unmeasured

# BatchNorm needs two images, and its statistics are steady with a few more.
CALIBRATION_IMAGES = 8


def calibrate(model: nn.Module, inputs: Inputs, passes: int = 2) -> nn.Module:
    """A copy whose BatchNorm statistics are those of `inputs`; in eval mode.

    Fresh statistics (mean 0, variance 1) do not fit fresh weights: signals grow from layer to
    layer, to 10¹⁴ in MobileOne, and no comparison in half precision survives that.
    """
    model = copy.deepcopy(model)
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the passes
    model.train()
    with torch.no_grad():
        for _ in range(passes if norms else 0):
            model(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def merge_branches(model: nn.Module) -> nn.Module:
    """A copy of `model` with its branches merged; raises Unmeasured when it has none."""
    from timm.utils.model import reparameterize_model

    merged: nn.Module = reparameterize_model(model, inplace=False)
    if sum(p.numel() for p in merged.parameters()) == sum(p.numel() for p in model.parameters()):
        raise Unmeasured("this network has no branches to merge")
    return merged
