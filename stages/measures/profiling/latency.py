"""Latency: the time from calling the model until its output is there, call by call.

Inputs lie on the device already.
"""

from collections.abc import Sequence
from statistics import median

import numpy as np

# A percentile needs this many calls, or it is the largest of a few under a finer name.
CALLS_NEEDED = {"p95": 20, "p99": 100}
NOISY = 0.05
NOISE = "noisy"  # how the note of a median begins whose repeats span more than that
REPEATS_TOLD = 3  # below which the span of repeats does not tell how uncertain a median is


def latency(calls: Sequence[float]) -> dict[str, float | int | None]:
    """Milliseconds at the median, 95th and 99th percentile of single calls given in seconds.

    A percentile is null when there are too few calls for it: 20 for p95, 100 for p99.
    """
    figures: dict[str, float | int | None] = {"latency_ms_p50": median(calls) * 1e3}
    for name, needed in CALLS_NEEDED.items():
        enough = len(calls) >= needed
        percentile = float(np.percentile(calls, int(name[1:]))) * 1e3 if enough else None
        figures[f"latency_ms_{name}"] = percentile
    return figures | {"calls": len(calls)}


def noise_note(spread: float | None, repeats: int, stable: bool) -> str | None:
    """What a reader must know before trusting a median, or None when it can be trusted."""
    if spread is None:
        return "one repeat: the spread is unknown"
    if spread > NOISY:
        return f"{NOISE}: the medians of {repeats} repeats span {spread:.0%}"
    return None if stable else "the warm-up ended before the calls were even"
