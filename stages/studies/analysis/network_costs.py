"""What a network costs on a machine: one figure for all its cells, whatever recipe and seed.

Each cell carries the profile that stood when it ran. That may have been measured more than once
(on another day, after a cleared cache), and recipes must not be ranked by how such repetitions fell
out: every cell gets the medians over its network's cells, and a span that holds them all.
"""

import numpy as np
import pandas as pd

COSTS = ("latency_ms_p50", "latency_ms_p95", "throughput_images_per_second", "peak_memory_mb")
ALIKE = ("machine", "model", "params_total", "macs_g", "input_px", "fast_kernels",
         "memory_format", "latency_batch_size", "throughput_batch_size")  # fmt: skip
"""What cells of one network, profiled alike, have in common."""


def of_networks(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with the costs of their networks in place of their own."""
    if not {*ALIKE, *COSTS} <= set(cells):
        return cells
    alike = [cells[name] for name in ALIKE]
    own = cells[list(COSTS)].astype(float)
    groups = own.groupby(alike, dropna=False)
    found = cells.assign(**{name: groups[name].transform("median") for name in COSTS})
    if "latency_spread" not in cells:
        return found
    latency = groups["latency_ms_p50"]
    times = latency.transform("nunique")
    apart = (latency.transform("max") - latency.transform("min")) / found["latency_ms_p50"]
    repeats = cells["latency_spread"].astype(float).groupby(alike, dropna=False)
    again = times > 1
    spans = repeats.transform("median")
    found["latency_spread"] = spans.where(~again, np.fmax(apart, spans))
    told = "noisy: " + times.astype(str) + " measurements span " + apart.map("{:.0%}".format)
    within = ", the repeats of one " + spans.map("{:.0%}".format)
    told = told.where(~(spans > apart), told + within)
    found["latency_note"] = cells.get("latency_note", told).where(~again, told)
    return found
