"""Which variant is best on this machine, in one line.

Faster means faster than eager in every repeat: the repeats are taken in turns, so a slow minute
hits both, and five of five is chance once in 32 times. Where none is, eager, which needs no
conversion, is best. One in int8 is left out: it answers otherwise, and what that costs in accuracy
is not measured here.
"""

from collections.abc import Sequence
from typing import Any

from stages.core.variant_names import INT8
from stages.measures.profiling.latency import NOISE
from stages.measures.profiling.variants import EAGER

Row = dict[str, Any]


def best_variant(rows: Sequence[Row], batch_size: int) -> Row | None:
    """The row of the best variant at a batch size; None when nothing was timed."""
    timed = _timed(rows, batch_size)
    eager = next((row for row in timed if row["variant"] == EAGER), None)
    if eager is None:
        return min(timed, key=lambda row: float(row["latency_ms_p50"]), default=None)
    faster = [row for row in timed if row["speedup_low"] is not None and row["speedup_low"] > 1]
    return max(faster, key=lambda row: float(row["speedup"]), default=eager)


def _timed(rows: Sequence[Row], batch_size: int) -> list[Row]:
    return [
        row
        for row in rows
        if row["mode"] == "inference"
        and row["batch_size"] == batch_size
        and row["latency_ms_p50"] is not None
        and row["precision"] != INT8
    ]


def best_line(rows: Sequence[Row], batch_sizes: Sequence[int]) -> str:
    """The best variant at the smallest and at the largest batch size, and what could not be timed
    and why, in words without the last full stop.
    """
    parts = []
    for batch_size in dict.fromkeys((min(batch_sizes), max(batch_sizes))):
        best = best_variant(rows, batch_size)
        if best is not None:
            alone = len(_timed(rows, batch_size)) == 1
            parts.append(f"at batch {batch_size} {_phrase(best, alone)}")
    line = "; ".join(parts) or "nothing could be timed"
    if any(row.get("precision") == INT8 and row["latency_ms_p50"] is not None for row in rows):
        line = f"leaving aside int8, which answers otherwise: {line}"
    return ". ".join([line[0].upper() + line[1:], *_failed(rows)])


def _failed(rows: Sequence[Row]) -> list[str]:
    """Variants of which nothing was timed, each with its reason."""
    rows = [row for row in rows if row["mode"] == "inference"]
    reasons = {row["variant"]: row.get("note") for row in rows if row["latency_ms_p50"] is None}
    timed = {row["variant"] for row in rows if row["latency_ms_p50"] is not None}
    failed = [f"{name} ({note})" for name, note in reasons.items() if name not in timed]
    return [f"Not timed: {', '.join(failed)}"] if failed and timed else []


def _phrase(best: Row, alone: bool) -> str:
    """The row in words, with its median time, which a stray slow call cannot move."""
    rate = f"{best['latency_ms_p50']:.3g} ms"
    rate += ", noisy" if str(best["note"]).startswith(NOISE) else ""
    if best["variant"] == EAGER:
        tried = (
            "eager alone was timed" if alone else "no variant is faster than eager in all repeats"
        )
        return f"{tried} ({rate})"
    gain = f", {best['speedup']:.2f} times as fast as eager" if best["speedup"] else ""
    return f"{best['variant']} is fastest ({rate}{gain})"
