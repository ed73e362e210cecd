"""Which variant is best on this machine, in one line.

Faster means faster by more than the repeats of either spread; within that they are equal and
eager, which needs no conversion, is named.
"""

from collections.abc import Sequence
from typing import Any

from stages.measures.variants import EAGER

Row = dict[str, Any]


def best_variant(rows: Sequence[Row], batch_size: int) -> Row | None:
    """The row with the lowest median latency at a batch size; None when nothing was timed."""
    timed = [
        row
        for row in rows
        if row["mode"] == "inference"
        and row["batch_size"] == batch_size
        and row["latency_ms_p50"] is not None
    ]
    eager = next((row for row in timed if row["variant"] == EAGER), None)
    if eager is None:
        return min(timed, key=_median_of, default=None)
    faster = [
        row for row in timed if _median_of(row) < _median_of(eager) * (1 - _doubt(row, eager))
    ]
    return min(faster, key=_median_of, default=eager)


def best_line(rows: Sequence[Row], batch_sizes: Sequence[int]) -> str:
    """The fastest variant at the smallest and at the largest batch size, as a sentence."""
    parts = []
    for batch_size in dict.fromkeys((min(batch_sizes), max(batch_sizes))):
        best = best_variant(rows, batch_size)
        if best is not None:
            parts.append(f"at batch {batch_size} {_phrase(best, rows)}")
    return ("; ".join(parts) or "nothing could be timed").capitalize()


def _phrase(best: Row, rows: Sequence[Row]) -> str:
    rate = f"{_median_of(best):.3g} ms, {best['images_per_second']:,.0f} images/s"
    if best["variant"] == EAGER:
        return f"no variant is faster than eager beyond the noise ({rate})"
    eager = next(
        (row for row in rows if row["variant"] == EAGER and row["batch_size"] == best["batch_size"]
         and row["latency_ms_p50"] is not None and row["mode"] == "inference"),
        None,
    )  # fmt: skip
    gain = f", {_median_of(eager) / _median_of(best):.2f} times as fast as eager" if eager else ""
    return f"{best['variant']} is fastest ({rate}{gain})"


def _median_of(row: Row) -> float:
    return float(row["latency_ms_p50"])


def _doubt(row: Row, eager: Row) -> float:
    return max(row["spread"] or 0.0, eager["spread"] or 0.0)
