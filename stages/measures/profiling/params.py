"""How many parameters a model has, and how large its weights are on disk."""

import tempfile
from pathlib import Path

from safetensors.torch import save_model
from torch import nn


def count_params(model: nn.Module) -> dict[str, int]:
    """Parameters (buffers such as running means are none), shared ones counted once."""
    parameters = list(model.parameters())
    return {
        "params_total": sum(p.numel() for p in parameters),
        "params_trainable": sum(p.numel() for p in parameters if p.requires_grad),
    }


def size_on_disk_mb(model: nn.Module) -> float:
    """Size of the model's weights and buffers saved as safetensors, in 10⁶ bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_model(model, str(path))
        return path.stat().st_size / 1e6
