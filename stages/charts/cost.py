"""What the model costs: latency by variant, throughput by batch size, memory, cost by block."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from stages.charts.bars import bars, draw_bars, figure_text
from stages.charts.style import BLUE, GREEN, LINES, PURPLE, SERIES, WIDTH_IN, chart, figure

MOST_BLOCKS = 24


def latency_bars(table: pd.DataFrame) -> Figure:
    """Median latency per variant at the smallest batch size, from the rows of plots/profile.csv."""
    inference = table[table["mode"] == "inference"]
    size = int(inference["batch_size"].min())
    rows = inference[inference["batch_size"] == size]
    return bars(
        list(rows["variant"]),
        _or_none(rows["latency_ms_p50"]),
        label=f"median latency in ms, batch {size}",
        title="Latency",
        notes=[_short(note) for note in rows["note"]],
    )


def throughput_curves(table: pd.DataFrame) -> Figure:
    """Images per second against batch size, a line per variant."""
    timed = table[(table["mode"] == "inference") & table["images_per_second"].notna()]
    drawn, axes = chart()
    for i, (variant, rows) in enumerate(timed.groupby("variant", sort=False)):
        ordered = rows.sort_values("batch_size")
        axes.plot(
            ordered["batch_size"],
            ordered["images_per_second"],
            label=str(variant),
            color=SERIES[i % len(SERIES)],
            linestyle=LINES[i % len(LINES)],
            marker="o",
        )
    sizes = sorted(timed["batch_size"].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("batch size")
    axes.set_ylabel("images per second")
    axes.set_title("Throughput")
    if not timed.empty:
        axes.legend(loc="best")
    return drawn


def memory_bars(profile: Mapping[str, Any]) -> Figure:
    """Weights, and the peak of inference and of training, in MB of 10⁶ bytes."""
    size, training = profile.get("peak_memory_batch_size"), profile.get("training_batch_size")
    names = ["weights", f"inference, batch {size}", f"training, batch {training}"]
    keys = ["weights_mb", "peak_memory_mb", "training_peak_memory_mb"]
    reasons = [None, profile.get("peak_memory_reason"), profile.get("training_peak_memory_reason")]
    return bars(
        names,
        [profile.get(key) for key in keys],
        label="peak memory in MB",
        title="Memory",
        colour=PURPLE,
        notes=[_short(reason) for reason in reasons],
    )


def block_bars(blocks: pd.DataFrame) -> Figure:
    """MACs and parameters of each block, from input to output (block, params, macs_g).

    Of many blocks the 24 costliest are shown, and the others as one.
    """
    rows = _costliest(blocks)
    drawn = figure(WIDTH_IN, 1.15 + 0.24 * len(rows))
    left, right = drawn.subplots(1, 2, sharey=True)
    names = list(rows["block"])
    draw_bars(left, names, list(1e3 * rows["macs_g"]), BLUE)
    draw_bars(right, names, list(rows["params"] / 1e3), GREEN)
    right.tick_params(axis="y", labelleft=False)
    left.set_title("Cost by block")
    left.set_xlabel("MACs in millions")
    right.set_xlabel("parameters in thousands")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: figure_text(value)))
    return drawn


def _costliest(blocks: pd.DataFrame) -> pd.DataFrame:
    if len(blocks) <= MOST_BLOCKS:
        return blocks
    weight = blocks["macs_g"] / blocks["macs_g"].sum() + blocks["params"] / blocks["params"].sum()
    kept = weight.rank(ascending=False, method="first") <= MOST_BLOCKS
    others = blocks[~kept]
    rest = {
        "block": f"({len(others)} others)",
        "macs_g": others["macs_g"].sum(),
        "params": others["params"].sum(),
    }
    return pd.concat([blocks[kept], pd.DataFrame([rest])], ignore_index=True)


def _or_none(values: "pd.Series[float]") -> list[float | None]:
    return [None if pd.isna(value) else float(value) for value in values]


def _short(note: Any) -> str | None:
    """The beginning of a reason: the whole of it stands in the report's table."""
    if not isinstance(note, str):
        return None
    return note if len(note) <= 44 else note[:43] + "…"
