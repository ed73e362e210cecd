"""One cell of the cost table: a variant at a batch size, made ready, and the row it becomes.

A cell that cannot be made ready says why, and the others stand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from stages.core.variant_names import INT8
from stages.measures.profiling.latency import latency, noise_note
from stages.measures.profiling.memory_budget import Forecast
from stages.measures.profiling.profiled_model import ProfiledModel, first_tensor
from stages.measures.profiling.reparameterize import CALIBRATION_IMAGES
from stages.measures.profiling.timing import Call, Repeats
from stages.measures.profiling.training_step import training_step
from stages.measures.profiling.try_measure import Unmeasured, try_measure
from stages.measures.profiling.variants import EAGER, NOTABLE, TOLERANCE, Variant

FIGURES = ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99", "calls")


def nothing() -> None:
    """The work of a cell that is not made ready yet."""


@dataclass
class Cell:
    """One variant at one batch size, and what came of it."""

    variant: str
    mode: str
    batch_size: int
    about: dict[str, Any] = field(default_factory=dict)
    call: Call = nothing
    difference: float | None = None
    caution: str | None = None
    stable: bool = False
    repeats: Repeats = field(default_factory=Repeats)
    reason: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the cell can be timed."""
        return self.reason is None

    def row(self, base: "Cell | None" = None) -> dict[str, Any]:
        """A row of the cost table; figures are null where there is a reason.

        `base` is the eager cell of the same batch size: `speedup` says how many times as fast as
        it this one is, the median of the repeats, between `speedup_low` and `speedup_high`.
        """
        timed = bool(self.repeats.calls) and self.reason is None
        notes = [self.reason]
        figures: dict[str, Any] = {}
        if timed:
            figures = latency(self.repeats.all_calls)
            noise = noise_note(self.repeats.spread, len(self.repeats.calls), self.stable)
            notes = [noise, self.caution]
        return {
            "variant": self.variant,
            "mode": self.mode,
            "batch_size": self.batch_size,
            **dict.fromkeys(FIGURES),
            **figures,
            "spread": self.repeats.spread if timed else None,
            **self._speedup(base if timed and base is not None and base.ready else None),
            "images_per_second": median(self.repeats.rates) if timed else None,
            "max_relative_difference": self.difference,
            **self.about,
            "note": "; ".join(note for note in notes if note) or None,
        }

    def _speedup(self, base: "Cell | None") -> dict[str, float | None]:
        ratios = self.repeats.times_as_fast_as(base.repeats) if base else []
        return {
            "speedup": median(ratios) if ratios else None,
            "speedup_low": min(ratios, default=None),
            "speedup_high": max(ratios, default=None),
        }


def inference_cells(
    subject: ProfiledModel,
    variants: Sequence[tuple[str, Variant | None, str | None]],
    batch_sizes: Sequence[int],
    forecast: Forecast,
) -> list[Cell]:
    """A cell per variant and batch size, ready to be timed; the eager variant comes first.

    `variants` are (name, variant, reason why it could not be made).
    """
    references: dict[int, Tensor] = {}
    cells = []
    for name, variant, reason in variants:
        for batch_size in batch_sizes:
            cell = Cell(name, "inference", batch_size, reason=reason)
            if variant is not None:
                cell.about = _about(variant)
                prepare = partial(_prepare, cell, variant, subject, references, forecast)
                _, cell.reason = try_measure(prepare)
            cells.append(cell)
    return cells


def training_cell(
    subject: ProfiledModel,
    batch_size: int,
    base: Variant,
    forecast: Forecast,
    precision: str = "fp32",
) -> Cell:
    """The cell of one training step: eager, or named after a lower precision of its arithmetic."""
    name = EAGER if precision == "fp32" else precision
    last = subject.memory_format is torch.channels_last
    placed = {"precision": precision, "memory_format": "channels_last" if last else "contiguous"}
    cell = Cell(name, "training", batch_size, _about(base) | placed)

    def prepare() -> Call:
        forecast.check(batch_size, base.device)
        step = training_step(subject, batch_size, base.device, precision)
        step()
        return step

    step, cell.reason = try_measure(prepare)
    cell.call = step or nothing
    return cell


def _prepare(
    cell: Cell,
    variant: Variant,
    subject: ProfiledModel,
    references: dict[int, Tensor],
    forecast: Forecast,
) -> None:
    """Place the inputs, make the first call and hold its output against the eager one."""
    forecast.check(cell.batch_size, variant.device)
    inputs = variant.place(subject.batch(cell.batch_size)[0])

    @torch.inference_mode()
    def call() -> Any:
        return variant.forward(*inputs)

    # The images that the network is calibrated with come first; on others it would extrapolate.
    outputs = first_tensor(call())[:CALIBRATION_IMAGES].cpu().double()
    if variant.name == EAGER:
        references[cell.batch_size] = outputs
    elif cell.batch_size in references:
        cell.difference = relative_difference(outputs, references[cell.batch_size])
        cell.caution = _judge(cell.difference, variant.precision)
    cell.call = call


def _judge(difference: float, precision: str) -> str | None:
    """A caution for lower precisions; raises Unmeasured when this cannot be the same network."""
    if math.isinf(difference):
        raise Unmeasured(f"outputs are not finite in {precision}")
    if precision == INT8:
        return "eight bits may answer otherwise"
    told = f"outputs differ from eager by {difference:.2g}, relative"
    if precision == "fp32" and difference > TOLERANCE:
        raise Unmeasured(f"{told}; {TOLERANCE:g} allowed")
    if difference <= NOTABLE[precision]:
        return None
    return f"{told}; untrained layers magnify rounding, so compare accuracies before use"


def relative_difference(outputs: Tensor, reference: Tensor) -> float:
    """Largest |outputs − reference| over largest |reference|; infinite for outputs not finite.

    Outputs that are zeros everywhere, as a new head's may be, are held to zeros: 0 or infinite.
    """
    if not outputs.isfinite().all():
        return float("inf")
    difference, scale = float((outputs - reference).abs().max()), float(reference.abs().max())
    return difference / scale if scale else (math.inf if difference else 0.0)


def _about(variant: Variant) -> dict[str, Any]:
    return {
        "threads": variant.threads,
        "precision": variant.precision,
        "memory_format": variant.memory_format,
        "runs_on": variant.runs_on,
    }
