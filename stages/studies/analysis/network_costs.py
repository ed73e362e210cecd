"""What a network costs on a machine: one figure for all its cells, whatever recipe and seed.

Each cell carries the profile that stood when it ran. That may have been measured more than once
(on another day, after a cleared cache), and recipes must not be ranked by how such repetitions fell
out: every cell gets the medians over its network's cells, and a span that holds them all.
"""

import math

import pandas as pd

from stages.measures.profiling.latency import NOISY, REPEATS_TOLD
from stages.studies.analysis.spread import NETWORK

COSTS = ("latency_ms_p50", "latency_ms_p95", "throughput_images_per_second", "peak_memory_mb")
TRAINING = "training_images_per_second"  # of a frozen trunk its own, as its steps are
ALIKE = ("machine", "model", "params_total", "macs_g", "input_px", "fast_kernels",
         "memory_format", "latency_batch_size", "throughput_batch_size")  # fmt: skip
"""What cells of one network, profiled alike, have in common."""


def log_span(span: float) -> float:
    """The span of the logarithms of times whose own span is `span`, as a share of their median.

    As with the median in the middle of the logarithms: from e^-h to e^h it is 2·sinh(h).
    """
    return 2 * math.asinh(span / 2)


def of_networks(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with the costs of their networks in place of their own."""
    if not {*ALIKE, "latency_ms_p50"} <= set(cells):
        return cells
    alike = [cells[name] for name in ALIKE]
    names = [name for name in (*COSTS, TRAINING) if name in cells]
    costs = cells[names].astype(float)
    groups = costs.groupby(alike, dropna=False)
    found = cells.assign(**{name: groups[name].transform("median") for name in names})
    if {TRAINING, "learns"} <= set(cells):
        frozen = cells["learns"] != NETWORK
        trained = costs[TRAINING].groupby([*alike, frozen], dropna=False)
        found[TRAINING] = trained.transform("median")
    if "latency_spread" not in cells:
        return found
    latency = groups["latency_ms_p50"]
    times = latency.transform("nunique")
    apart = (latency.transform("max") - latency.transform("min")) / found["latency_ms_p50"]
    repeats = cells["latency_spread"].astype(float).groupby(alike, dropna=False)
    again = times > 1
    spans = repeats.transform("median")
    widest = apart.where(spans.isna() | (apart > spans), spans)
    told_by = spans.notna() | (times >= REPEATS_TOLD)
    found["latency_spread"] = spans.where(~again, widest.where(told_by))
    told = "noisy: " + times.astype(str) + " measurements span " + apart.map("{:.0%}".format)
    within = ", the repeats of one " + spans.map("{:.0%}".format)
    told = told.where(~(spans > apart), told + within)
    noisy = again & (widest > NOISY)
    notes = cells.get("latency_note", pd.Series(None, cells.index, dtype=object))
    found["latency_note"] = notes.where(~again, None).where(~noisy, told)
    return found
