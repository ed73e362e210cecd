"""Multiply-accumulates (MACs), FLOPs and activations of one forward pass, and where they arise.

Counted by PyTorch's FlopCounterMode from shapes, in a pass on the CPU without the kernels that take
attention or a recurrent layer as a whole, so the counts are the same on every machine.
Counted are convolutions and matrix products (linear layers, attention); 1 MAC = 2 FLOPs, as a
multiplication and an addition. Normalisations, activation functions, pooling and softmax are no
MACs. Many published tables (timm's, and whatever fvcore counts) call MACs or FLOPs the sum of MACs
and the arithmetic of normalisations, which is given beside for comparison: it adds 0.5 % to
ResNet-50 and 5 % to a MobileNet.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import flop_counter
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from stages.runs.schema import BLOCK_COLUMNS

PRODUCTS = ("convolution", "mm", "addmm", "bmm", "baddbmm", "scaled_dot_product")
# Operations per element, as fvcore has them: a scale and a shift; mean and variance besides.
NORMALIZATIONS = {"batch_norm": 2, "layer_norm": 5, "group_norm": 5}
# Operators that do much arithmetic and that the counter passes over in silence.
UNCOUNTED = ("_fft", "cdist")


@dataclass(frozen=True)
class Cost:
    """Cost of a forward pass on one image.

    `activations` are the elements that convolutions and matrix products put out,
    `normalization_ops` the arithmetic of normalisations as fvcore counts it. `blocks` has the
    columns block, params, macs_g, activations_m and adds up to the whole. `uncounted` names
    costly operators that were met and could not be counted.
    """

    macs: int
    normalization_ops: int
    activations: int
    blocks: pd.DataFrame
    uncounted: tuple[str, ...]


def count_cost(model: nn.Module, inputs: tuple[Tensor, ...]) -> Cost:
    """Count one forward pass of `model` on inputs of batch size 1, both on the CPU or on `meta`.

    For the call its buffers are replaced by copies, so that the statistics of norms stay, and its
    parameters by what wants no gradient, which PyTorch's tracker of modules would hook.
    """
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}
    state |= {name: buffer.clone() for name, buffer in model.named_buffers()}
    flops = _counter()
    tracker = ModuleTracker()
    with torch.no_grad(), _spelt_out(), tracker, _Operators(tracker) as met, flops:
        functional_call(model, state, inputs)
    return Cost(
        macs=flops.get_total_flops() // 2,
        normalization_ops=met.normalization_ops,
        activations=sum(met.activations.values()),
        blocks=_by_block(model, flops, met.activations),
        uncounted=tuple(sorted(met.uncounted)),
    )


def _counter() -> FlopCounterMode:
    """PyTorch's counter without its wrapper for `torch.compile`, to import which takes a second.

    No counting is compiled here. What it wraps is kept by `functools.wraps`.
    """
    kind: Any = flop_counter._FlopCounterMode
    kind.__torch_dispatch__ = inspect.unwrap(kind.__torch_dispatch__)
    return FlopCounterMode(display=False)


@contextmanager
def _spelt_out() -> Iterator[None]:
    """No kernel that takes attention as one operator, or a whole layer of it, or an LSTM."""
    one_dnn: Any = torch.backends.mkldnn
    before = torch.backends.mha.get_fastpath_enabled(), one_dnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    one_dnn.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before[0])
        one_dnn.enabled = before[1]


class _Operators(TorchDispatchMode):
    """Adds up what the FLOP counter leaves out: outputs per module, and normalisations."""

    def __init__(self, tracker: ModuleTracker) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tracker = tracker
        self.activations: dict[str, int] = {}
        self.normalization_ops = 0
        self.uncounted: set[str] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Spare the import of the compiler, as `_counter` does."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name.lstrip("_").startswith(PRODUCTS):
            first = out[0] if isinstance(out, tuple) else out
            # The innermost module is the longest of the names that are open at this moment.
            module = max(self.tracker.parents - {"Global"}, key=len, default="Global")
            self.activations[module] = self.activations.get(module, 0) + first.numel()
        per_element = [ops for part, ops in NORMALIZATIONS.items() if part in name]
        self.normalization_ops += sum(per_element) * (args[0].numel() if per_element else 0)
        if any(part in name for part in UNCOUNTED):
            self.uncounted.add(name)
        return out


def _by_block(
    model: nn.Module, flops: FlopCounterMode, activations: dict[str, int]
) -> pd.DataFrame:
    """A row per block with cost or parameters, in order; what lies outside all is `(rest)`."""
    root = type(model).__name__
    counts = {name: sum(ops.values()) // 2 for name, ops in flops.get_flop_counts().items()}
    rows = []
    for name, block in blocks_of(model):
        inside = (n for m, n in activations.items() if f"{m}.".startswith(f"{root}.{name}."))
        params = sum(p.numel() for p in block.parameters())
        macs = counts.get(f"{root}.{name}", 0)
        if params or macs:
            rows.append((name, params, macs / 1e9, sum(inside) / 1e6))
    table = pd.DataFrame(rows, columns=BLOCK_COLUMNS)
    whole = (
        sum(p.numel() for p in model.parameters()),
        counts.get("Global", 0) / 1e9,
        sum(activations.values()) / 1e6,
    )
    rest = [total - table[name].sum() for total, name in zip(whole, table.columns[1:], strict=True)]
    if rest[0] > 0 or rest[1] > 1e-12:
        outside = pd.DataFrame([["(rest)", *rest]], columns=table.columns)
        table = pd.concat([table, outside], ignore_index=True)
    return table.astype({"params": int})


def blocks_of(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The children of a model, with sequences of blocks taken apart, as (dotted name, module)."""
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.Sequential | nn.ModuleList) and any(
            next(part.children(), None) is not None for part in child
        ):
            yield from blocks_of(child, f"{path}.")
        else:
            yield path, child
