"""Ways to run one network: eager, other layout, half precision, fast, compiled, merged, exported,
quantised.

A variant is a name such as `bf16` or steps joined by `+`, such as `reparameterized+onnx`; the order
in the name does not matter. Each step takes a variant and gives another.
"""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from stages.core.variant_names import INT8, steps_of
from stages.measures.profiling.onnx import OnnxRuntime
from stages.measures.profiling.profiled_model import Inputs
from stages.measures.profiling.reparameterize import merge_branches
from stages.measures.profiling.try_measure import Unmeasured
from stages.training.fast_kernels import fast_kernels

EAGER = "eager"
# Largest relative difference of fp32 outputs from eager ones that still counts as the same network:
# sums in another order differ by up to 2e-4 on the images that the network is calibrated with.
TOLERANCE = 1e-3
# Half precision rounds by intent; beyond this a reader is told.
NOTABLE = {"fp32": TOLERANCE, "fp16": 2e-2, "bf16": 1e-1}
HALVES = ("bf16", "fp16")
DTYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    INT8: torch.float32,  # of its inputs: it quantises them itself
}


@dataclass(frozen=True)
class Variant:
    """A callable network and what it wants as inputs.

    `model` is the PyTorch module that further steps build on. `runs_on` names what computes:
    cpu, cuda, mps, or ONNX Runtime and its provider.
    """

    name: str
    forward: Callable[..., Any]
    model: nn.Module
    device: torch.device
    runs_on: str
    threads: int
    precision: str = "fp32"
    memory_format: str = "contiguous"

    def place(self, inputs: Inputs) -> Inputs:
        """Inputs on this variant's device, in its precision and layout."""
        return tuple(self._place(tensor) for tensor in inputs)

    def _place(self, tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_floating_point():
            return tensor.to(self.device)
        tensor = tensor.to(self.device, DTYPES[self.precision])
        if self.memory_format == "channels_last" and tensor.ndim == 4:
            return tensor.contiguous(memory_format=torch.channels_last)
        return tensor


def eager(model: nn.Module, device: torch.device, threads: int) -> Variant:
    """The network as it is, fp32, contiguous, on the device; all others are held against it."""
    placed = copy.deepcopy(model).to(device).eval()
    return Variant(EAGER, placed, placed, device, device.type, threads)


def make_variant(name: str, base: Variant, inputs: Inputs) -> Variant:
    """Apply the steps of `name` to the eager variant; `inputs` are CPU tensors of two images.

    Raises Unmeasured where a step cannot apply, or what PyTorch, timm or the exporter raise.
    """
    steps, variant = steps_of(name), base
    for step, apply in STEPS.items():
        if step in steps:
            variant = apply(variant, inputs)
    return replace(variant, name=name)


def _merged(variant: Variant, inputs: Inputs) -> Variant:
    merged = merge_branches(variant.model)
    return replace(variant, forward=merged, model=merged)


def _channels_last(variant: Variant, inputs: Inputs) -> Variant:
    moved = copy.deepcopy(variant.model)
    moved.to(memory_format=torch.channels_last)
    return replace(variant, forward=moved, model=moved, memory_format="channels_last")


def _half(variant: Variant, inputs: Inputs, precision: str) -> Variant:
    halved = copy.deepcopy(variant.model).to(DTYPES[precision])
    return replace(variant, forward=halved, model=halved, precision=precision)


def _fast(variant: Variant, inputs: Inputs) -> Variant:
    if variant.device.type != "cpu":
        raise Unmeasured("fast kernels are for the CPU")

    def forward(*placed: torch.Tensor) -> Any:
        with fast_kernels():
            return variant.forward(*placed)

    return replace(variant, forward=forward)


def _compiled(variant: Variant, inputs: Inputs) -> Variant:
    return replace(variant, forward=torch.compile(variant.model, dynamic=False))


def _quantized(variant: Variant, inputs: Inputs) -> Variant:
    """Folded, as a model that is taken home is (`deployment.network`)."""
    with suppress(Unmeasured):  # it has no branches
        variant = _merged(variant, inputs)
    return _exported(variant, inputs, INT8)


def _exported(variant: Variant, inputs: Inputs, precision: str = "fp32") -> Variant:
    session = OnnxRuntime(
        copy.deepcopy(variant.model), inputs, variant.device, variant.threads, precision == INT8
    )
    return replace(
        variant, forward=session, device=torch.device("cpu"), precision=precision,
        runs_on=f"ONNX Runtime, {session.provider}",
    )  # fmt: skip


STEPS: dict[str, Callable[[Variant, Inputs], Variant]] = {
    "reparameterized": _merged,
    "channels_last": _channels_last,
    "bf16": partial(_half, precision="bf16"),
    "fp16": partial(_half, precision="fp16"),
    "fast": _fast,
    "compile": _compiled,
    "onnx": _exported,
    INT8: _quantized,
}
