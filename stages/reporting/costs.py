"""The cost table: each figure of the profile with its unit and what it means."""

from typing import Any

from stages.pages.blocks import Table
from stages.pages.formatting import NONE, large, number

Profile = dict[str, Any]


def cost_table(profile: Profile) -> Table:
    """Rows of figure, value, unit, meaning; what could not be measured has its reason."""
    rows = [
        *_size(profile),
        *_time(profile),
        *_memory(profile),
        _row(profile, "energy_per_image_j", "energy", "J per image", "", "energy_reason"),
    ]
    return Table(("figure", "value", "unit", "meaning"), tuple(rows), numeric=(1,))


def variant_table(rows: Any) -> Table:
    """All timed cells of plots/profile.csv, a DataFrame."""
    cells = tuple(
        (
            str(row["variant"]),
            str(row["mode"]),
            str(row["batch_size"]),
            _number(row["latency_ms_p50"]),
            _number(row["latency_ms_p95"]),
            _number(row["images_per_second"]),
            _text(row.get("precision")),
            _text(row.get("memory_format")),
            _text(row.get("note")),
        )
        for _, row in rows.iterrows()
    )
    head = ("variant", "mode", "batch", "p50 ms", "p95 ms", "images/s", "precision", "layout",
            "note")  # fmt: skip
    return Table(head, cells, numeric=(2, 3, 4, 5))


Row = tuple[str, str, str, str]


def _size(profile: Profile) -> list[Row]:
    px = profile.get("input_px")
    counted = str(profile.get("flops_mean") or "")
    return [
        _row(profile, "params_total", "parameters", "", "all weights and biases", shown=large),
        _row(profile, "weights_mb", "weights", "MB", "as a file on disk"),
        _row(profile, "macs_g", "MACs", "", f"multiply-accumulates at {px} px: {counted}",
             "flops_reason", _billions),
        _row(profile, "flops_g", "FLOPs", "", "two per MAC", "flops_reason", _billions),
    ]  # fmt: skip


def _time(profile: Profile) -> list[Row]:
    one = f"batch {profile.get('latency_batch_size', 1)}"
    noise = profile.get("latency_note")
    many = profile.get("throughput_batch_size")
    training = profile.get("training_batch_size")
    return [
        _row(profile, "latency_ms_p50", "latency, median", "ms",
             one + (f"; {noise}" if noise else ""), "latency_note"),
        _row(profile, "latency_ms_p95", "latency, 95th percentile", "ms", one,
             otherwise="too few calls in the time allowed: 20 are needed"),
        _row(profile, "latency_ms_p99", "latency, 99th percentile", "ms", one,
             otherwise="too few calls in the time allowed: 100 are needed"),
        _row(profile, "throughput_images_per_second", "throughput", "images/s",
             f"batch {many}, the best of those timed"),
        _row(profile, "training_images_per_second", "training throughput", "images/s",
             f"forward, backward and step in fp32, batch {training}. "
             f"{profile.get('training_in_half') or ''}".strip(), "training_note"),
    ]  # fmt: skip


def _memory(profile: Profile) -> list[Row]:
    size, means = profile.get("peak_memory_batch_size"), profile.get("peak_memory_means") or ""
    training = profile.get("training_batch_size")
    return [
        _row(profile, "peak_memory_mb", "peak memory, inference", "MB",
             f"batch {size}: {means}", "peak_memory_reason"),
        _row(profile, "training_peak_memory_mb", "peak memory, training", "MB",
             f"batch {training}: with gradients and optimiser state",
             "training_peak_memory_reason"),
        _row(profile, "peak_resident_mb", "peak resident set", "MB",
             "the whole process in inference, Python and libraries included"),
    ]  # fmt: skip


def _row(
    profile: Profile,
    key: str,
    name: str,
    unit: str,
    meaning: str,
    reason: str = "",
    shown: Any = number,
    otherwise: str = "not measured",
) -> Row:
    value = profile.get(key)
    if value is None:
        return name, NONE, "", str(profile.get(reason) or otherwise)
    return name, shown(value), unit, meaning


def _billions(value: float) -> str:
    return large(1e9 * value)


def _number(value: Any) -> str:
    return NONE if value != value or value is None else number(float(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else NONE
