"""The figures that a reader of `metrics/profile.json` looks for first, out of the whole table."""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.measures.profiling.best import best_line
from stages.measures.profiling.memory import Mode, Peak
from stages.measures.profiling.throughput import best_batch
from stages.measures.profiling.variants import EAGER, HALVES

Metrics = dict[str, Any]


def summary(rows: Sequence[Metrics], sizes: Sequence[int]) -> Metrics:
    """The figures of the table that a reader of `metrics/profile.json` looks for first."""
    cell = {(row["variant"], row["mode"], row["batch_size"]): row for row in rows}
    first = cell[EAGER, "inference", sizes[0]]
    training = cell[EAGER, "training", max(2, sizes[-1])]
    rates = {
        row["batch_size"]: row["images_per_second"]
        for row in rows
        if row["variant"] == EAGER and row["mode"] == "inference" and row["images_per_second"]
    }
    best_size, best_rate = best_batch(rates) if rates else (None, None)
    kept = ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99")
    return {
        "precision": first["precision"],
        "memory_format": first["memory_format"],
        "latency_batch_size": sizes[0],
        **{name: first[name] for name in kept},
        "latency_spread": first["spread"],
        "latency_note": first["note"],
        "throughput_images_per_second": best_rate,
        "throughput_batch_size": best_size,
        "training_step_ms_p50": training["latency_ms_p50"],
        "training_images_per_second": training["images_per_second"],
        "training_batch_size": training["batch_size"],
        "training_note": training["note"],
        "training_in_half": " ".join(_half_line(row) for row in rows if _is_half(row)) or None,
        "energy_per_image_j": cell[EAGER, "inference", sizes[-1]]["energy_per_image_j"],
        "best": best_line(rows, sizes),
        "variants": {
            row["variant"]: {
                name: row[name] for name in ("latency_ms_p50", "images_per_second", "note")
            }
            for row in rows
            if row["mode"] == "inference" and row["batch_size"] == sizes[0]
        },
    }


def _is_half(row: Metrics) -> bool:
    return row["mode"] == "training" and row["variant"] in HALVES


def _half_line(row: Metrics) -> str:
    """What a lower precision would buy in training, as a sentence."""
    if row["speedup"] is None:
        return f"A step in {row['variant']} was not timed: {row['note']}."
    return (
        f"A step in {row['variant']} is {row['speedup']:.2f} times as fast as in fp32 "
        f"({row['speedup_low']:.2f} to {row['speedup_high']:.2f} over the repeats)."
    )


def memory_summary(peaks: Mapping[Mode, Peak]) -> Metrics:
    """Peak memory of both modes; null with a reason where it could not be measured."""
    inference, training = peaks["inference"], peaks["training"]
    return {
        "peak_memory_mb": inference.peak_memory_mb,
        "peak_resident_mb": inference.peak_resident_mb,
        "peak_memory_batch_size": inference.batch_size,
        "peak_memory_means": inference.means,
        "peak_memory_reason": inference.reason,
        "training_peak_memory_mb": training.peak_memory_mb,
        "training_peak_resident_mb": training.peak_resident_mb,
        "training_peak_memory_reason": training.reason,
    }
