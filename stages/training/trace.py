"""The trace of a run: what each step computed, as hashes that two machines can hold side by side.

Loss alone parts up to nine steps too late, so gradients and weights are hashed tensor by tensor.
Covers the record of one step; beyond the first steps, the last of each epoch has one, without its
tensors.
"""

from collections.abc import Iterable

import torch
import xxhash
from torch import Tensor, nn


def hash_tensor(tensor: Tensor) -> str:
    """16 hex digits over a tensor's bytes in its logical order, whatever its memory format."""
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    return xxhash.xxh3_64_hexdigest(plain.view(torch.uint8).numpy().data)


def hash_tensors(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """32 hex digits over named tensors in the order given."""
    return combine(f"{name}={hash_tensor(tensor)}" for name, tensor in tensors)


def combine(parts: Iterable[str]) -> str:
    """32 hex digits over a sequence of texts."""
    return xxhash.xxh3_128_hexdigest("\n".join(parts).encode())


def record_step(
    model: nn.Module, grads: dict[str, str], step: int, epoch: int, loss: float, grad_norm: float
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """One row of the step trace and its rows per tensor, after the weights were updated.

    `grads` holds the hashes of the gradients that made the update (see `hash_gradients`).
    """
    weights = {name: hash_tensor(value) for name, value in model.named_parameters()}
    row = {
        "step": step,
        "epoch": epoch,
        "loss_hex": float(loss).hex(),
        "loss": loss,
        "grad_norm": grad_norm,
        "grad_hash": combine(f"{name}={value}" for name, value in grads.items()),
        "weights_hash": combine(f"{name}={value}" for name, value in weights.items()),
    }
    rows: list[dict[str, object]] = [
        {"step": step, "tensor": name, "grad_hash": grads.get(name), "weights_hash": value}
        for name, value in weights.items()
    ]
    return row, rows


def hash_gradients(model: nn.Module) -> dict[str, str]:
    """The hash of every parameter's gradient, for parameters that have one."""
    return {
        name: hash_tensor(value.grad)
        for name, value in model.named_parameters()
        if value.grad is not None
    }


def grad_norm(model: nn.Module) -> float:
    """The Euclidean norm over all gradients of a model."""
    grads = [value.grad for value in model.parameters() if value.grad is not None]
    return float(nn.utils.get_total_norm(grads))
