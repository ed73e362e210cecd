"""The tables of a study's page that are about cost: inference, efficiency, time, repeats.

Every figure is a `Traced` text; why one could not be measured is said in `cost_notes`. Leaves
accuracy to `accuracy_tables` and who computed to `machine_tables`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from stages.pages.blocks import Table
from stages.pages.formatting import NONE, duration, large, number, percent, rounded
from stages.studies.analysis.machine_results import MachineResults, geometric_mean
from stages.studies.analysis.spread import FITTED, HEAD, NETWORK
from stages.studies.analysis.traced import Traced, latency_text, one, over, ratio, times
from stages.studies.spec.study_config import Cell


def cost_table(views: Sequence[MachineResults]) -> Table:
    """Size, arithmetic, latency, throughput and memory, a row per network and machine."""
    px = sorted({int(side) for own in views for side in own.cells["input_px"].dropna()})
    macs = f"MACs (M) at {px[0]} px" if len(px) == 1 else "MACs (M)"
    head = ("backbone", "machine", "parameters", macs, "input px", "latency p50 (ms)",
            "images/s at batch", "peak memory (MB)", "training images/s")  # fmt: skip
    rows: dict[tuple[str, ...], list[str]] = {}  # recipes of one network cost the same
    for name in _series(views):
        for index, own in enumerate(views):
            cells = own.cells_of(name)
            if not cells.empty:
                row = (str(index), str(cells["model"].iloc[-1]), *_costs(cells.iloc[-1]))
                rows.setdefault(row, []).append(name)
    told = []
    for (at, _, *costs), names in rows.items():
        own = views[int(at)]
        told.append((_together(own, names), str(own.place), *costs))
    return _by_machine(Table(head, tuple(told), tuple(range(2, len(head)))), views, px)


def _by_machine(table: Table, views: Sequence[MachineResults], px: Sequence[int] = ()) -> Table:
    """Without the columns that tell nothing: of one machine, and of one size of input."""
    table = table.without("machine") if len(views) == 1 else table
    return table.without("input px") if len(px) == 1 else table


def _together(view: MachineResults, names: Sequence[str]) -> str:
    """The names of series, or of their models where all series of a model are among them."""
    models = {
        str(name): str(model)
        for name, model in zip(view.cells["series"], view.cells["model"], strict=True)
    }
    whole = {
        model
        for model in models.values()
        if all(name in names for name, its in models.items() if its == model)
    }
    told = (models[name] if models[name] in whole else name for name in names)
    return ", ".join(dict.fromkeys(told))


def _costs(cell: "pd.Series[Any]") -> tuple[str, ...]:
    """The figures of a row, from parameters on."""
    batch = number(cell.get("throughput_batch_size"))
    return (
        one(cell, large(cell.get("params_total"))),
        one(cell, number(times(cell.get("macs_g"), 1000))),
        one(cell, number(cell.get("input_px"))),
        one(cell, latency_text(cell)),
        one(cell, f"{rounded(cell.get('throughput_images_per_second'))} at {batch}"),
        one(cell, number(cell.get("peak_memory_mb"))),
        one(cell, rounded(cell.get("training_images_per_second"))),
    )


def efficiency_table(view: MachineResults) -> Table | None:
    """Parameters and latency per unit of accuracy, at the main size, of what has learned.

    Times to two digits: they are rarely measured better.
    """
    rows = []
    costs = view.costs()
    for row in costs[costs["learned"]].to_dict("records"):
        cells = view.cells_of(row["series"], view.main_size)
        per = row["mean"]
        rows.append((
            row["series"],
            over(cells, percent(row["mean"])),
            over(cells, number(ratio(times(row.get("params_total"), 1e-6), per))),
            over(cells, rounded(ratio(row.get("latency_ms_p50"), per))),
            over(cells, rounded(ratio(row.get("train_seconds"), per))),
        ))  # fmt: skip
    head = ("backbone", "accuracy", "M parameters / accuracy", "ms / accuracy",
            "training s / accuracy")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4)) if rows else None


def time_table(views: Sequence[MachineResults]) -> Table:
    """Seconds of training, per run and epoch, and those per epoch as times the quickest's on that
    machine.

    Recipes differ in their epochs, so an epoch is what is compared, of networks among themselves:
    one of a head on kept features leaves out how those were made, and a head that is fitted at
    once has none.
    """
    groups = [dict(list(own.cells.groupby(["series", "train_images"]))) for own in views]
    fastest = [_fastest(own) for own in views]
    rows = []
    for name, images in dict.fromkeys(key for own in views for key in _keys(own)):
        for own, group, least in zip(views, groups, fastest, strict=True):
            if (cells := group.get((name, images))) is not None:
                at_once = cells["learns"].iloc[0] == FITTED
                epochs = NONE if at_once else over(cells, str(int(cells["epochs_run"].max())))
                told = _times(own, cells, least.get(images))
                rows.append((name, str(own.place), f"{images:,}", epochs, *told))
    head = ("backbone", "machine", "images", "epochs", "training", "per epoch",
            "times the quickest epoch")  # fmt: skip
    table = Table(head, tuple(rows), tuple(range(2, len(head))))
    if all_fitted(views):
        table = table.without("epochs").without("per epoch").without("times the quickest epoch")
    return _by_machine(table, views)


def all_fitted(views: Sequence[MachineResults]) -> bool:
    """Whether nothing has epochs: every head was fitted at once to frozen features."""
    return all((own.cells["learns"] == FITTED).all() for own in views)


def _times(
    view: MachineResults, cells: pd.DataFrame, quickest: pd.DataFrame | None
) -> tuple[str, ...]:
    kind = cells["learns"].iloc[0]
    training = over(cells, duration(geometric_mean(cells["train_seconds"]), 2))
    if kind == FITTED:
        return training, NONE, NONE
    epoch = over(cells, duration(geometric_mean(cells["epoch_seconds_p50"]), 2))
    if quickest is None or quickest["learns"].iloc[0] != kind:
        return training, epoch, NONE
    return training, epoch, _slower(view, cells, quickest)


def _slower(view: MachineResults, cells: pd.DataFrame, quickest: pd.DataFrame) -> str:
    """How many times the quickest's time of an epoch, with its 95 % interval."""
    if cells.index.equals(quickest.index):
        return over(cells, "the quickest")
    found = view.measured("epoch_seconds_p50").difference(cells, quickest)
    both = pd.concat([cells, quickest])
    if found.low is None or found.high is None:
        return over(both, f"{rounded(math.exp(found.value))}×")
    ends = (rounded(math.exp(end)) for end in (found.value, found.low, found.high))
    told = "{}× ({} to {})".format(*ends)
    return over(both, "not told apart" if found.open else told)


def _fastest(view: MachineResults) -> dict[int, pd.DataFrame]:
    """The cells of the series with the quickest epoch at each size: of networks, where one ran."""
    kinds = view.cells["learns"]
    cells = view.cells[kinds == (NETWORK if (kinds == NETWORK).any() else HEAD)]
    groups = dict(list(cells.groupby(["train_images", "series"])))
    means = cells.groupby(["train_images", "series"])["epoch_seconds_p50"].agg(geometric_mean)
    return {int(key[0]): groups[key] for key in means.groupby("train_images").idxmin().dropna()}


def _keys(view: MachineResults) -> list[tuple[str, int]]:
    names = view.cells["series"].astype(str)
    return list(zip(names, view.cells["train_images"].astype(int), strict=True))


def _series(views: Sequence[MachineResults]) -> list[str]:
    """All series, the first machine's before those that only others ran."""
    return list(dict.fromkeys(str(name) for own in views for name in own.cells["series"]))


def repeat_table(view: MachineResults, pairs: Sequence[tuple[str, str]]) -> Table | None:
    """Two runs of one seed at fixed steps: the loss of each, and whether the weights are one."""
    rows: list[tuple[str, ...]] = []
    for first, second in pairs:
        firsts = view.cells[view.cells["recipe"] == first].to_dict("records")
        for a in firsts:
            b = Cell("", a["model"], a["size"], second, a["seed"]).name
            if b not in set(view.cells["cell"]):
                continue
            traces = [view.results.traces[str(name), view.machine] for name in (a["cell"], b)]
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


def _end(view: MachineResults, a: Mapping[Any, Any], b: str) -> tuple[str, ...]:
    """The row of the kept weights and the test accuracy."""
    second = view.cells[view.cells["cell"] == b].iloc[0]
    same = a["weights_hash"] == second["weights_hash"]
    main = view.results.main
    return (
        f"{a['model']}, seed {a['seed']}", "final",
        Traced(f"test accuracy {percent(float(str(a[main])), 2)}", [str(a["cell"])]),
        Traced(f"test accuracy {percent(second[main], 2)}", [b]),
        "the same bits" if same else "differ",
    )  # fmt: skip


def cost_notes(views: Sequence[MachineResults]) -> list[str]:
    """Why a figure of the cost table is missing or shaky, and for which series and machine."""
    told = {"latency_note": "Latency", "peak_memory_reason": "Memory", "flops_reason": "MACs",
            "other_load_note": "Times", "node_note": "Times and memory"}  # fmt: skip
    said: list[str] = []
    for view in views:
        tag = f" · machine {view.place}" if len(views) > 1 else ""
        for key, figure in told.items():
            notes: dict[str, list[str]] = {}
            for name, cells in view.cells.groupby("series", sort=False):
                if isinstance(note := cells.iloc[-1].get(key), str):
                    notes.setdefault(note, []).append(str(name))
            said += [
                f"{figure} of {_together(view, names)}{tag}: {note}"
                for note, names in notes.items()
            ]
    return said
