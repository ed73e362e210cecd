"""The tables of a study's page that are about cost: inference, efficiency, time, machines, repeats.

Every figure is a `Traced` text; what could not be measured has its reason in the last column.
Leaves accuracy to `accuracy_tables`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.reporting.parts import Table
from stages.reporting.words import NONE, duration, large, number, percent
from stages.studies.table import View
from stages.studies.traced import Traced, cells_of, one, over, ratio, times


def cost_table(view: View) -> Table:
    """Size, arithmetic, latency, throughput and memory; the reason where there is no figure."""
    rows = []
    for name, cells in view.cells.groupby("series", sort=False):
        last = cells.iloc[-1]
        batch = last.get("throughput_batch_size")
        rows.append((
            str(name),
            one(last, large(last.get("params_total"))),
            one(last, number(times(last.get("macs_g"), 1000))),
            one(last, number(last.get("latency_ms_p50"))),
            one(last, f"{number(last.get('throughput_images_per_second'))} at {number(batch)}"),
            one(last, number(last.get("peak_memory_mb"))),
            one(last, number(last.get("training_images_per_second"))),
        ))  # fmt: skip
    px = view.cells["input_px"].dropna()
    head = ("backbone", "parameters", f"MACs (M) at {px.iloc[0]:.0f} px" if len(px) else "MACs (M)",
            "latency p50 (ms)", "images/s at batch", "peak memory (MB)",
            "training images/s")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4, 5, 6))


def efficiency_table(view: View) -> Table:
    """Parameters and latency per unit of accuracy, at the largest size."""
    rows = []
    for row in view.costs().to_dict("records"):
        cells = cells_of(view, row["series"])
        per = row["mean"] or None
        rows.append((
            row["series"],
            over(cells, percent(row["mean"])),
            over(cells, number(ratio(times(row.get("params_total"), 1e-6), per))),
            over(cells, number(ratio(row.get("latency_ms_p50"), per))),
            over(cells, number(ratio(row.get("train_seconds"), per))),
        ))  # fmt: skip
    head = ("backbone", "accuracy", "M parameters / accuracy", "ms / accuracy",
            "training s / accuracy")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4))


def time_table(view: View) -> Table:
    """Seconds of training, per run and epoch, and how many times those of the fastest."""
    means = view.cells.groupby(["series", "train_images"], sort=False)
    rows = []
    fastest = means["train_seconds"].mean().groupby("train_images").min()
    for key, cells in means:
        name, images = str(key[0]), int(str(key[1]))
        seconds = float(cells["train_seconds"].mean())
        rows.append((
            str(name),
            f"{images:,}",
            over(cells, str(int(cells["epochs_run"].max()))),
            over(cells, duration(seconds)),
            over(cells, duration(float(cells["epoch_seconds_p50"].mean()))),
            over(cells, f"{seconds / fastest[images]:.1f}×"),
        ))  # fmt: skip
    head = ("backbone", "images", "epochs", "training", "per epoch", "of the fastest")
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4, 5))


def repeat_table(view: View, pairs: Sequence[tuple[str, str]]) -> Table | None:
    """Two runs of one seed at fixed steps: the loss of each, and whether the weights are one."""
    rows: list[tuple[str, ...]] = []
    for first, second in pairs:
        firsts = view.cells[view.cells["recipe"] == first].to_dict("records")
        for a in firsts:
            b = str(a["cell"]).replace(f"-{first}-", f"-{second}-")
            traces = [view.results.traces.get((str(name), view.machine)) for name in (a["cell"], b)]
            if traces[0] is None or traces[1] is None:
                continue
            for step in sorted(traces[0].keys() & traces[1].keys(), key=int):
                x, y = traces[0][step], traces[1][step]
                rows.append((
                    f"{a['model']}, seed {a['seed']}", step,
                    Traced(f"{x['loss']:.6f}", [str(a["cell"])]), Traced(f"{y['loss']:.6f}", [b]),
                    "the same bits" if x["weights_hash"] == y["weights_hash"] else "differ",
                ))  # fmt: skip
            rows.append(_end(view, a, b))
    head = ("run", "step", "loss, first run", "loss, second run", "weights")
    return Table(head, tuple(rows), numeric=(1, 2, 3)) if rows else None


def _end(view: View, a: Mapping[Any, Any], b: str) -> tuple[str, ...]:
    """The row of the kept weights and the test accuracy."""
    second = view.cells[view.cells["cell"] == b].iloc[0]
    same = a["weights_hash"] == second["weights_hash"]
    main = view.results.main
    return (
        f"{a['model']}, seed {a['seed']}", "kept",
        Traced(percent(float(str(a[main])), 2), [str(a["cell"])]),
        Traced(percent(second[main], 2), [b]),
        "the same bits" if same else "differ",
    )  # fmt: skip


def machine_table(views: Sequence[View]) -> Table:
    """Who ran what, and how much faster on the cells that the first machine has too."""
    rows = []
    base = views[0].cells.set_index("cell")["train_seconds"]
    for place, view in enumerate(views, 1):
        facts = view.results.machines[view.machine]
        own = view.cells.set_index("cell")["train_seconds"]
        shared = base.index.intersection(own.index)
        speed = base[shared].sum() / own[shared].sum() if len(shared) else None
        device = facts.get("accelerator") or facts.get("chip") or NONE
        rows.append((
            str(place), view.machine, f"{device} ({facts.get('backend')})",
            str(facts.get("os") or NONE), str(facts.get("torch") or NONE),
            str(facts.get("threads") or NONE), str(len(own)), duration(float(own.sum())),
            NONE if speed is None else f"{speed:.2f}×",
        ))  # fmt: skip
    head = ("", "hardware DNA", "device", "system", "PyTorch", "threads", "cells", "training",
            "speed-up on shared cells")  # fmt: skip
    return Table(head, tuple(rows), numeric=(5, 6, 7, 8))


def cost_notes(view: View) -> list[str]:
    """Why a figure of the cost table is missing or shaky, and for which series."""
    said: dict[str, list[str]] = {}
    for name, cells in view.cells.groupby("series", sort=False):
        last = cells.iloc[-1]
        told = [last.get(key) for key in ("latency_note", "peak_memory_reason", "flops_reason")]
        for note in told:
            if isinstance(note, str):
                said.setdefault(note, []).append(str(name))
    return [f"{', '.join(names)}: {note}" for note, names in said.items()]
