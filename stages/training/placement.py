"""A model put where it is trained: its device, its layout, and the attention that suits both.

The same for training, validation and test, so that all of them compute the same function to the
bit, and for the training steps that a profile times.
"""

import torch
from torch import nn

from stages.core.params import Params
from stages.models import BuiltModel


def place_model(
    model: nn.Module, memory_format: torch.memory_format, device: torch.device
) -> nn.Module:
    """The model, changed in place, on the device and in the layout.

    On a CPU timm's attention is computed in plain steps: PyTorch's fused kernel is made for long
    sequences, and at the 64 to 256 patches of a small image its backward takes several times as
    long as the matrix products it stands for.
    """
    if device.type == "cpu":
        for module in model.modules():
            if hasattr(module, "fused_attn"):
                module.fused_attn = False  # type: ignore[assignment]
    return model.to(device).to(memory_format=memory_format)


def memory_format_of(params: Params, built: BuiltModel) -> torch.memory_format:
    """The layout of weights and images: what was asked for, or the family's faster one."""
    name = params.train.memory_format
    chosen = built.memory_format if name == "auto" else name
    return torch.channels_last if chosen == "channels_last" else torch.contiguous_format
