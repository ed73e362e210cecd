"""Weights of vision transformers and patch stems fitted to another size of image, patch or window.

Position embeddings, window tables and patch embeddings, with timm's and torchvision's own helpers.
"""

import sys
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from stages.models.checkpoints import State


def resampled(model: nn.Module, weights: Mapping[str, Tensor]) -> State:
    """Weights fitted to the model's patch, window and grid, as timm does for its own."""
    fit = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyTorch's, about how timm indexes
        state: State = dict(fit(dict(weights), model)) if fit else dict(weights)
    if type(model).__module__ == "torchvision.models.vision_transformer":
        state = _position_embeddings_fitted(model, state)
    for name, module in model.named_modules():
        key = f"{name}.weight"
        if isinstance(module, nn.Conv2d) and module.kernel_size == module.stride and key in state:
            wanted = module.weight.shape
            if state[key].shape[:2] == wanted[:2] and state[key].shape != wanted:
                from timm.layers.patch_embed import resample_patch_embed

                state[key] = resample_patch_embed(state[key], list(wanted[2:]))
    return state


def _position_embeddings_fitted(model: Any, state: State) -> State:
    """As torchvision does it for its own vision transformers."""
    from torchvision.models.vision_transformer import interpolate_embeddings

    try:
        return dict(interpolate_embeddings(model.image_size, model.patch_size, OrderedDict(state)))
    except (KeyError, ValueError):  # weights of something else, as the check will say
        return state
