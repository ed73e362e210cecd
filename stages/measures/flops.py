"""Multiply-accumulates (MACs), FLOPs and activations of one forward pass, and where they arise.

Counted by PyTorch's FlopCounterMode from shapes alone, on the `meta` device, where attention is
spelt out as matrix products: nothing is computed and the counts are the same on every machine.
Counted are convolutions and matrix products (linear layers, attention); 1 MAC = 2 FLOPs, as a
multiplication and an addition. Normalisations, activation functions, pooling and softmax are not
counted: they are memory-bound, below 1 % of the arithmetic in usual networks, and counters
disagree on them. Leaves time to `measures.latency`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

# Operators that do much arithmetic and that the counter passes over in silence.
UNCOUNTED = ("_fft", "lstm", "gru", "rnn", "cdist", "selective_scan")
PRODUCTS = ("convolution", "mm", "addmm", "bmm", "baddbmm", "scaled_dot_product")


@dataclass(frozen=True)
class Cost:
    """Cost of a forward pass on one image.

    `activations` are the elements that convolutions and matrix products put out. `blocks` has
    the columns block, params, macs_g, activations_m and adds up to the whole. `uncounted` names
    costly operators that were met and could not be counted.
    """

    macs: int
    activations: int
    blocks: pd.DataFrame
    uncounted: tuple[str, ...]


def count_cost(model: nn.Module, inputs: tuple[Tensor, ...]) -> Cost:
    """Count one forward pass of `model` on inputs of batch size 1.

    The model stays where it is; its parameters and buffers are replaced by shapes for the call.
    """
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    flops = FlopCounterMode(display=False)
    tracker = ModuleTracker()  # type: ignore[no-untyped-call]
    with torch.no_grad(), tracker, _Activations(tracker) as activations, flops:
        functional_call(model, shapes, tuple(x.to("meta") for x in inputs))
    return Cost(
        macs=flops.get_total_flops() // 2,
        activations=sum(activations.by_module.values()),
        blocks=_by_block(model, flops, activations.by_module),
        uncounted=tuple(sorted(activations.uncounted)),
    )


class _Activations(TorchDispatchMode):
    """Adds up the output elements of convolutions and matrix products per module."""

    def __init__(self, tracker: ModuleTracker) -> None:
        super().__init__()
        self.tracker = tracker
        self.by_module: dict[str, int] = {}
        self.uncounted: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.lstrip("_")
        if name.startswith(PRODUCTS):
            first = out[0] if isinstance(out, tuple) else out
            # The innermost module is the longest of the names that are open at this moment.
            module = max(self.tracker.parents - {"Global"}, key=len, default="Global")
            self.by_module[module] = self.by_module.get(module, 0) + first.numel()
        if any(part in func.overloadpacket.__name__ for part in UNCOUNTED):
            self.uncounted.add(func.overloadpacket.__name__)
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
    table = pd.DataFrame(rows, columns=["block", "params", "macs_g", "activations_m"])
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
