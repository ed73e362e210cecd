"""The whole cost sheet of one model: counts, memory, the timed grid, energy, and a verdict.

Puts the other measures together; each of them can fail without taking the rest along. Leaves
reading parameters and writing files to `stages.profile`.
"""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from tqdm import tqdm

from stages.core.device import threads_note
from stages.core.errors import ModelError
from stages.measures.profiling.cells import Cell, inference_cells, training_cell
from stages.measures.profiling.energy import LEAST_SECONDS, counters_of, joules_per_image
from stages.measures.profiling.flops import count_cost
from stages.measures.profiling.fresh_process import ended_with, load_ahead
from stages.measures.profiling.grid import Plan, time_cells, visits
from stages.measures.profiling.load import OtherLoad, load_note
from stages.measures.profiling.memory import Mode, Peak, peak_memory
from stages.measures.profiling.memory_budget import Forecast, forecast_of
from stages.measures.profiling.params import count_params, size_on_disk_mb
from stages.measures.profiling.profiled_model import Inputs, ProfiledModel
from stages.measures.profiling.reparameterize import CALIBRATION_IMAGES, calibrate
from stages.measures.profiling.summary import memory_summary, summary
from stages.measures.profiling.sweep import sweep
from stages.measures.profiling.timing import clock_of
from stages.measures.profiling.try_measure import try_measure
from stages.measures.profiling.variants import EAGER, HALVES, Variant, eager, make_variant
from stages.runs.schema import BLOCK_COLUMNS

if TYPE_CHECKING:
    from stages.core.sections import Profile

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Sheet:
    """`metrics` is flat but for one level; `table` a row per cell; `blocks` a row per block."""

    metrics: Metrics
    table: pd.DataFrame
    blocks: pd.DataFrame


def measure(
    build: Callable[[], ProfiledModel], profile: "Profile", device: torch.device, threads: int
) -> Sheet:
    """Measure the model that `build` makes (it is pickled and called in fresh processes too).

    In the main thread.
    """
    load_ahead()
    sizes = sorted(set(profile.batch_sizes))

    def peak(mode: Mode, batch_size: int) -> Peak:
        return peak_memory(build, mode, batch_size, device, threads)

    largest: dict[Mode, int] = {"inference": sizes[-1], "training": _training_size(profile)}
    subject, peaks, smallest, (counts, blocks) = _without_stopwatch(build, peak, largest)
    forecasts: dict[Mode, Forecast] = {
        "inference": forecast_of(smallest, counts["weights_mb"], _killed_at(peaks["inference"])),
        "training": forecast_of(
            peaks["training"], counts["weights_mb"], _killed_at(peaks["training"])
        ),
    }
    calibrated, _ = try_measure(
        partial(calibrate, subject.model, subject.batch(CALIBRATION_IMAGES)[0])
    )
    subject = replace(subject, model=calibrated or subject.model)
    plan = Plan(profile.seconds, profile.repeats, clock_of(device), threads)
    load = OtherLoad()
    cells = time_grid(subject, profile, device, plan, forecasts)
    busy_cores = load.busy_cores()
    rows, energy_reason = _with_energy(cells, device, plan, sizes[-1])
    metrics = {
        "model": subject.name,
        "input_px": subject.input_px,
        **counts,
        "device": device.type,
        "threads": threads,
        "openmp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "openmp_spin_count": os.environ.get("GOMP_SPINCOUNT"),  # turns of waiting before sleep
        **summary(rows, sizes),
        "other_load_cores": busy_cores,
        "other_load_note": load_note(busy_cores, len(load.cores)),
        **memory_summary(peaks),
        "energy_reason": energy_reason,
    }
    crowded = threads_note(threads) if device.type == "cpu" else None
    notes = (metrics["latency_note"], subject.left_out, crowded)
    metrics["latency_note"] = "; ".join(filter(None, notes)) or None
    whole_numbers = {"calls": "Int64", "threads": "Int64"}  # with gaps where a cell failed
    return Sheet(metrics, pd.DataFrame(rows).astype(whole_numbers), blocks)


def _without_stopwatch(
    build: Callable[[], ProfiledModel],
    peak: Callable[[Mode, int], Peak],
    largest: Mapping[Mode, int],
) -> tuple[ProfiledModel, dict[Mode, Peak], Peak, tuple[Metrics, pd.DataFrame]]:
    """The model, its peaks at the `largest` batches, that of inference at a batch that fits, and
    its counts: measured beside each other, and what memory did not suffice for once more alone.

    Raises ModelError where nothing fits.
    """
    with ThreadPoolExecutor(2) as beside:
        asked = {mode: beside.submit(peak, mode, size) for mode, size in largest.items()}
        with ended_with(*asked.values()):
            inference = asked["inference"].result()
            if _for_want_of_memory(inference):
                asked["training"].result()
                inference = peak("inference", largest["inference"])
            smallest = peak("inference", 1) if inference.killed else inference
            _require_fit(smallest)
            subject = build()
            counted = count(subject)
            training = asked["training"].result()
    if _for_want_of_memory(training):
        training = peak("training", largest["training"])
    return subject, {"inference": inference, "training": training}, smallest, counted


def _for_want_of_memory(peak: Peak) -> bool:
    return peak.killed or "memory" in (peak.reason or "")


def _training_size(profile: "Profile") -> int:
    """Images of a training step: the largest batch, but two at least, as batch norm asks."""
    return max(2, *profile.batch_sizes)


def _require_fit(smallest: Peak) -> None:
    """Raise ModelError where the system ended even the measurement that takes the least."""
    if smallest.killed:
        raise ModelError(
            f"The model does not fit this machine: {smallest.reason}. Choose a smaller model or a "
            "smaller `input_size`."
        )


def count(subject: ProfiledModel) -> tuple[Metrics, pd.DataFrame]:
    """Parameters, MACs, FLOPs, activations and size on disk; and the table of blocks."""
    cost, reason = try_measure(partial(count_cost, subject.model, subject.batch(1)[0]))
    if reason is None and cost is not None and cost.uncounted:
        reason = f"not counted: {', '.join(cost.uncounted)}"
    learner = copy.deepcopy(subject.model)
    subject.freeze(learner)
    metrics: Metrics = {
        **count_params(learner),
        "weights_mb": size_on_disk_mb(subject.model),
        "macs_g": cost.macs / 1e9 if cost else None,
        "flops_g": 2 * cost.macs / 1e9 if cost else None,
        "macs_with_norms_g": (cost.macs + cost.normalization_ops) / 1e9 if cost else None,
        "activations_m": cost.activations / 1e6 if cost else None,
        "flops_mean": "convolutions and matrix products of one image, 2 FLOPs per MAC",
        "flops_reason": reason,
    }
    return metrics, cost.blocks if cost else pd.DataFrame(columns=BLOCK_COLUMNS)


def time_grid(
    subject: ProfiledModel,
    profile: "Profile",
    device: torch.device,
    plan: Plan,
    forecasts: dict[Mode, Forecast],
) -> list[Cell]:
    """All cells of a profile, timed: eager and variants by batch size, training, the sweep."""
    sizes = sorted(set(profile.batch_sizes))
    if any("compile" in name for name in profile.variants):
        torch.compiler.reset()  # graphs of other models count towards its limit of recompilations
    torch.backends.cudnn.benchmark = True  # shapes are fixed, so the fastest kernels may be sought
    base = eager(subject.model, device, plan.threads)
    variants: list[tuple[str, Variant | None, str | None]] = [(EAGER, base, None)]
    example = subject.batch(2)[0]
    for name in dict.fromkeys(profile.variants):
        make = partial(_make_variant, name, base, example, forecasts["inference"])
        variants.append((name, *try_measure(make)))
    cells = inference_cells(subject, variants, sizes, forecasts["inference"])
    cells += [
        training_cell(subject, _training_size(profile), base, forecasts["training"], precision)
        for precision in ("fp32", *(name for name in HALVES if name in profile.variants))
    ]
    total = visits(len(cells), plan.repeats)
    with tqdm(total=total, desc=subject.name, unit="cell", disable=None, leave=False) as bar:
        time_cells(cells, plan, bar.update)
    if profile.sweep_seconds > 0:
        cells += sweep(
            subject, base, sizes[-1], profile.sweep_seconds, plan, forecasts["inference"]
        )
    return cells


def _make_variant(name: str, base: Variant, example: Inputs, forecast: Forecast) -> Variant:
    forecast.check(0, base.device)
    return make_variant(name, base, example)


def _killed_at(peak: Peak) -> int | None:
    return peak.batch_size if peak.killed else None


def _with_energy(
    cells: Sequence[Cell], device: torch.device, plan: Plan, batch_size: int
) -> tuple[list[Metrics], str | None]:
    """The rows of all cells, with joules per image at one batch size, or the reason for none."""
    counters, reason = try_measure(partial(counters_of, device))
    bases = {(cell.mode, cell.batch_size): cell for cell in cells if cell.variant == EAGER}
    rows = []
    for cell in cells:
        base = None if cell.variant == EAGER else bases[cell.mode, cell.batch_size]
        row = cell.row(base) | {"energy_per_image_j": None}
        if counters and cell.ready and cell.batch_size == batch_size:
            seconds = max(LEAST_SECONDS, plan.seconds)
            row["energy_per_image_j"], failed = try_measure(
                partial(joules_per_image, counters, cell.call, batch_size, plan.clock, seconds)
            )
            reason = reason or failed
        rows.append(row)
    return rows, reason
