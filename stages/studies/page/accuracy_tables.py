"""The tables of a study's page that are about accuracy: results, gaps, classes, ranks, epochs.

Every figure is a `Traced` text.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from stages.measures.evaluation.unequal import BALANCED
from stages.pages.blocks import Table
from stages.pages.formatting import NONE, percent
from stages.studies.analysis.machine_results import MachineResults, series_of
from stages.studies.analysis.results import Results
from stages.studies.analysis.traced import Traced, mean_text, over, points_text

WORST_SHARE = 1.96 * 0.5  # half the 95 % interval of a share of one half, for one image


def results_table(view: MachineResults, others: Sequence[MachineResults], metric: str) -> Table:
    """Mean ± 95 % interval per series and size; a further column per size and machine."""
    head, columns = ["backbone"], []
    views = [view, *others]
    for own in views:
        tag = f" · machine {own.place}" if others else ""
        means = own.means(f"test_{metric}")
        for images in _sizes_tried(own):
            head.append(f"{images:,} images{tag}")
            columns.append((own, means[means["train_images"] == images], images))
    names = list(dict.fromkeys(_all_series(view.results, views)))
    rows = [(name, *(_mean_cell(*column[:2], name, column[2]) for column in columns))
            for name in names]  # fmt: skip
    return Table(tuple(head), tuple(rows), numeric=tuple(range(1, len(head))))


def balanced_table(view: MachineResults) -> Table | None:
    """Beside the accuracy what counts every class alike, means over runs; None where equal."""
    cells = view.cells
    if not BALANCED.keys() <= set(cells.columns):
        return None
    named = {view.results.main: "accuracy"} | BALANCED
    rows = []
    for (series, images), runs in cells.groupby(["series", "train_images"], sort=False):
        figures = (over(runs, percent(runs[key].mean())) for key in named)
        rows.append((str(series), f"{images:,}", *figures))
    return Table(("backbone", "images", *named.values()), tuple(rows), numeric=(1, 2, 3, 4))


def gap_table(view: MachineResults) -> Table | None:
    """Training and test accuracy, and what lies between, smallest gap first.

    What is at chance on the test images has no gap to speak of and is left out.
    """
    metric = view.results.metrics[0]
    rows = []
    gaps = view.means(f"gap_{metric}")
    gaps = gaps[view.main["learned"] & ~gaps["series"].isin(list(view.repeated))].sort_values(
        "mean"
    )
    for row in gaps.to_dict("records"):
        cells = view.cells[
            (view.cells["series"] == row["series"])
            & (view.cells["train_images"] == row["train_images"])
        ]
        rows.append((
            row["series"],
            f"{row['train_images']:,}",
            over(cells, percent(cells[f"train_{metric}"].mean())),
            over(cells, percent(cells[f"test_{metric}"].mean())),
            over(cells, points_text(row["mean"], row["high"] - row["mean"])),
        ))  # fmt: skip
    head = ("backbone", "images", "training", "test", "gap in points")
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4)) if rows else None


def class_shares(view: MachineResults) -> pd.DataFrame:
    """Accuracy per series (row) and class (column) at the main size, means over seeds.

    Of the series that are surely above chance; empty where there are none.
    """
    largest = view.learned(view.main_size)
    if largest.empty or view.predictions.empty:
        return pd.DataFrame()
    predicted = view.predictions
    joined = predicted.merge(largest[["cell", "series"]], on="cell")
    right = joined["label"] == joined["predicted"]
    per_run = right.groupby([joined["series"], joined["cell"], joined["label"]]).mean()
    table = per_run.groupby(level=["series", "label"]).mean().unstack("label")
    names = view.results.answers
    table.columns = pd.Index([names[int(str(label))] for label in table.columns])
    return table.loc[[name for name in dict.fromkeys(largest["series"]) if name in table.index]]


def class_table(view: MachineResults, shares: pd.DataFrame) -> Table | None:
    """A row per class, with the difference from the leading series in points; None without any.

    In whole per cent: a class has but a part of the test images, see `class_error`.
    """
    if shares.empty:
        return None
    images = view.main_size
    leader = str(view.ranked(images).iloc[0]["series"])
    others = [name for name in shares.index if name != leader]
    head = ("class", leader, *(f"{name} (difference)" for name in others))
    rows = []
    for label in shares.columns:
        lead = float(shares[label][leader])
        cells = [over(view.cells_of(leader, images), percent(lead, 0))]
        for name in others:
            value = float(shares[label][name])
            difference = round(100 * (value - lead))
            told = f"{percent(value, 0)} ({f'{difference:+d}' if difference else '0'})"
            cells.append(over(view.cells_of(name, images), told))
        rows.append((str(label), *cells))
    return Table(head, tuple(rows), numeric=tuple(range(1, len(head))))


def class_error(view: MachineResults) -> str | None:
    """How far the test images alone leave a figure of one class uncertain; None without any."""
    largest = view.learned(view.main_size)
    predicted = view.predictions
    if largest.empty or predicted.empty:
        return None
    one = predicted[predicted["cell"] == largest["cell"].iloc[0]]
    images = int(one["label"].value_counts().min())
    half_width = 100 * WORST_SHARE / math.sqrt(images)
    return (
        f"Whole per cent: a class has {images:,} test images or more, which alone leave a figure "
        f"uncertain by up to ± {half_width:.0f} points and a difference by up to "
        f"± {min(100, 2 * half_width):.0f}."
    )


def ranking_table(view: MachineResults, images: int) -> Table | None:
    """Places at one size: one more than the number of others that are surely better.

    What is not surely above chance has no place; None where nothing has.
    """
    ranked = view.ranked(images)
    if ranked.empty:
        return None
    rows = [
        (str(row["place"]), row["series"], _mean_text(view, row), "")
        for row in ranked.to_dict("records")
    ]
    others = view.at(images)
    for row in others[~others["learned"]].to_dict("records"):
        rows.append((NONE, row["series"], _mean_text(view, row), "not surely above one answer"))
    marked = len(rows) > len(ranked)
    head = ("place", "backbone", f"accuracy at {images:,} images", *([""] if marked else []))
    return Table(head, tuple(row[: len(head)] for row in rows), numeric=(0, 2))


def epochs_table(view: MachineResults, recipes: Sequence[str]) -> Table | None:
    """Accuracy along recipes of growing length: what each further epoch brought.

    Only where nothing but the epochs differs from the row before and the gain is sure.
    """
    means = view.main[view.main["recipe"].isin(recipes)]
    rows, before = [], None
    for recipe in recipes:
        found = means[means["recipe"] == recipe]
        if found.empty:
            continue
        row = found.iloc[-1].to_dict()
        cells = view.cells_of(row["series"], row["train_images"])
        epochs = int(cells["epochs_run"].max())
        gained = per_epoch = NONE
        if before is not None:
            gain = view.scores.difference(cells, before[1])
            both = pd.concat([before[1], cells])
            gained = over(both, points_text(gain.value, gain.half_width))
            alone = _epochs_alone(view, before[1], cells)
            if not alone:
                per_epoch = "more than the epochs differs"
            elif epochs > before[0]:
                each = 100 * gain.value / (epochs - before[0])
                per_epoch = over(both, "not sure" if gain.open else f"{each:+.1f}")
        rows.append((recipe, str(epochs), _mean_text(view, row), gained, per_epoch))
        before = (epochs, cells)
    head = ("recipe", "epochs run", "accuracy", "points gained", "per further epoch")
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4)) if len(rows) > 1 else None


def _epochs_alone(view: MachineResults, a: pd.DataFrame, b: pd.DataFrame) -> bool:
    """Whether two groups of cells differ in nothing but their epochs (and seeds)."""
    cells = {cell.name: cell for cell in view.form.cells}
    pair = []
    for runs in (a, b):
        params = view.form.params(cells[str(runs["cell"].iloc[0])])
        pair.append(params.model_dump(exclude={"seed": True, "train": {"epochs"}}))
    return bool(pair[0] == pair[1])


def _all_series(results: Results, views: Sequence[MachineResults]) -> Iterable[str]:
    for row in results.cells.to_dict("records"):
        yield series_of({str(key): value for key, value in row.items()}, views[0].form)


def _sizes_tried(view: MachineResults) -> list[int]:
    """Sizes that this machine ran, those at which all diverged among them."""
    every = view.results.cells
    return sorted(
        int(n) for n in every.loc[every["machine"] == view.machine, "train_images"].unique()
    )


def _mean_cell(view: MachineResults, rows: pd.DataFrame, name: str, images: int) -> str:
    found = rows[rows["series"] == name]
    if found.empty:
        return _why_not(view, name, images)
    return _mean_text(view, found.iloc[0].to_dict())


def _mean_text(view: MachineResults, row: Mapping[Any, Any]) -> str:
    """The mean with its interval and the number of runs, and how many more diverged."""
    images = int(row["train_images"])
    cells, told = view.cells_of(row["series"], images), mean_text(row)
    lost = _diverged(view, str(row["series"]), images)
    if lost:
        told = f"{told.removesuffix(')')}, {len(lost)} diverged)"
    return Traced(told, [*cells["cell"], *(str(cell["cell"]) for cell in lost)])


def _why_not(view: MachineResults, name: str, images: int) -> str:
    """`diverged at epoch 7, fp16`, or a dash for what has not run."""
    lost = _diverged(view, name, images)
    if not lost:
        return NONE
    told = ", ".join(dict.fromkeys(str(cell["why"]) for cell in lost))
    return Traced(told, [str(cell["cell"]) for cell in lost])


def _diverged(view: MachineResults, name: str, images: int) -> list[Mapping[Any, Any]]:
    """The cells of a series and size on this machine whose training diverged."""
    every = view.results.cells
    lost = every[(every["machine"] == view.machine) & (every["status"] == "diverged")]
    rows = lost[lost["train_images"] == images].to_dict("records")
    return [row for row in rows if series_of(row, view.form) == name]
