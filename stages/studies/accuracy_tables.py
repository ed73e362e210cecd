"""The tables of a study's page that are about accuracy: results, classes, ranks, data, epochs.

Every figure is a `Traced` text. Leaves costs to `cost_tables` and form to the templates.
"""

from collections.abc import Iterable, Sequence

import pandas as pd

from stages.reporting.parts import Table
from stages.reporting.words import NONE, percent
from stages.studies.results import Results
from stages.studies.scaling import fit, leave_out_largest
from stages.studies.table import View, series_of
from stages.studies.traced import Traced, cells_of, mean_text, over, range_text


def results_table(view: View, others: Sequence[View], metric: str) -> Table:
    """Mean ± 95 % interval per series and size; a further column per size and machine."""
    head, columns = ["backbone"], []
    views = [view, *others]
    for place, own in enumerate(views, 1):
        tag = f" · machine {place}" if others else ""
        means = own.means(f"test_{metric}")
        for images in sorted(means["train_images"].unique()):
            head.append(f"{images:,} images{tag}")
            columns.append((own, means[means["train_images"] == images]))
    names = list(dict.fromkeys(_all_series(view.results, views)))
    rows = [(name, *(_mean_cell(own, rows, name) for own, rows in columns)) for name in names]
    return Table(tuple(head), tuple(rows), numeric=tuple(range(1, len(head))))


def sample_table(view: View, target: float | None) -> Table | None:
    """Points per doubling of the data, the exponent, images until the target, and the check."""
    if len(view.sizes) < 2:
        return None
    aim = target if target is not None else _next_ten(float(view.main["mean"].max()))
    high = view.sizes[-1]
    rows = []
    for name, cells in view.cells.groupby("series", sort=False):
        curve = fit(cells, view.results.main)
        check = leave_out_largest(cells, view.results.main)
        if curve is None:
            continue
        gained = curve.accuracy(high)[0] - curve.accuracy(high / 2)[0]
        beyond = curve.accuracy(2 * high)
        told = NONE
        if check is not None:
            where = "inside" if check.inside else "outside"
            told = (f"{percent(check.predicted)} predicted, {percent(check.measured)} measured, "
                    f"{where} {range_text(check.low, check.high)}")  # fmt: skip
        rows.append((
            str(name),
            over(cells, f"{100 * gained:+.1f}"),
            over(cells, f"{curve.exponent:.3f}"),
            over(cells, f"{percent(beyond[0])} ({range_text(*beyond[1:])})"),
            over(cells, _images(curve.images_for(aim))),
            over(cells, told),
        ))  # fmt: skip
    head = ("backbone", "points at the last doubling", "exponent b", f"at {2 * high:,} images",
            f"images until {percent(aim, 0)}", f"check: {high:,} images from fewer")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3)) if rows else None


def winner_beyond(view: View) -> str | None:
    """Which series the curves expect to lead at twice the largest size, and how surely."""
    if len(view.sizes) < 2:
        return None
    images = 2 * view.sizes[-1]
    expected = {}
    for name, cells in view.cells.groupby("series", sort=False):
        curve = fit(cells, view.results.main)
        if curve is not None:
            expected[str(name)] = curve.accuracy(images)
    if len(expected) < 2:
        return None
    best = max(expected, key=lambda name: expected[name][0])
    low = expected[best][1]
    rivals = [name for name, found in expected.items() if name != best and found[2] >= low]
    told = f"statistically tied with {', '.join(rivals)}" if rivals else "ahead of all others"
    mean = percent(expected[best][0])
    return (
        f"At {images:,} images, which were not run, {best} is expected to lead with {mean}, {told}."
    )


def gap_table(view: View) -> Table:
    """Training and test accuracy, and what lies between, smallest gap first."""
    metric = view.results.metrics[0]
    rows = []
    gaps = view.means(f"gap_{metric}").sort_values("mean")
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
            over(cells, f"{100 * row['mean']:+.1f} ± {100 * (row['high'] - row['mean']):.1f}"),
        ))  # fmt: skip
    head = ("backbone", "images", "training", "test", "gap in points")
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4))


def class_shares(view: View) -> pd.DataFrame:
    """Accuracy per series (row) and class (column) at the largest size, means over seeds."""
    largest = view.cells[view.cells["train_images"] == view.sizes[-1]]
    predicted = view.results.predictions
    predicted = predicted[predicted["machine"] == view.machine]
    joined = predicted.merge(largest[["cell", "series"]], on="cell")
    right = joined["label"] == joined["predicted"]
    per_run = right.groupby([joined["series"], joined["cell"], joined["label"]]).mean()
    table = per_run.groupby(level=["series", "label"]).mean().unstack("label")
    names = view.results.answers
    table.columns = pd.Index([names[int(str(label))] for label in table.columns])
    return table.loc[[name for name in dict.fromkeys(largest["series"]) if name in table.index]]


def class_table(view: View, shares: pd.DataFrame) -> Table:
    """A row per class, with the difference from the leading series in points."""
    leader = str(view.at(view.sizes[-1]).iloc[0]["series"])
    others = [name for name in shares.index if name != leader]
    head = ("class", leader, *(f"{name} (difference)" for name in others))
    rows = []
    for label in shares.columns:
        lead = float(shares[label][leader])
        cells = [over(cells_of(view, leader), percent(lead))]
        for name in others:
            value = float(shares[label][name])
            told = f"{percent(value)} ({100 * (value - lead):+.1f})"
            cells.append(over(cells_of(view, name), told))
        rows.append((str(label), *cells))
    return Table(head, tuple(rows), numeric=tuple(range(1, len(head))))


def ranking_table(view: View, images: int) -> Table:
    """Places at one size; series whose interval overlaps the first's are tied with it."""
    rows = []
    for place, row in enumerate(view.at(images).to_dict("records"), 1):
        tie = "" if place == 1 else "tied with the first" if row["tied"] else "behind"
        cells = cells_of(view, row["series"])
        rows.append((str(place), row["series"], over(cells, mean_text(row)), tie))
    head = ("place", "backbone", f"accuracy at {images:,} images", "")
    return Table(head, tuple(rows), numeric=(0, 2))


def epochs_table(view: View, recipes: Sequence[str]) -> Table | None:
    """Accuracy along recipes of growing length: what each further epoch brought."""
    means = view.main[view.main["recipe"].isin(recipes)]
    rows, before = [], None
    for recipe in recipes:
        found = means[means["recipe"] == recipe]
        if found.empty:
            continue
        row = found.iloc[-1]
        cells = view.cells[view.cells["recipe"] == recipe]
        epochs = int(cells["epochs_run"].max())
        gained = per_epoch = NONE
        if before is not None:
            gained = f"{100 * (row['mean'] - before[1]):+.1f}"
            if epochs > before[0]:
                per_epoch = f"{100 * (row['mean'] - before[1]) / (epochs - before[0]):+.2f}"
        rows.append((recipe, str(epochs), over(cells, mean_text(row)), gained, per_epoch))
        before = (epochs, row["mean"])
    head = ("recipe", "epochs run", "accuracy", "points gained", "per further epoch")
    return Table(head, tuple(rows), numeric=(1, 2, 3, 4)) if len(rows) > 1 else None


def _all_series(results: Results, views: Sequence[View]) -> Iterable[str]:
    for row in results.cells.to_dict("records"):
        yield series_of({str(key): value for key, value in row.items()}, views[0].form)


def _mean_cell(view: View, rows: pd.DataFrame, name: str) -> str:
    found = rows[rows["series"] == name]
    if found.empty:
        return _why_not(view, name)
    row = found.iloc[0]
    cells = cells_of(view, name)
    return over(cells[cells["train_images"] == row["train_images"]], mean_text(row))


def _why_not(view: View, name: str) -> str:
    """`diverged at epoch 7, fp16`, or a dash for what has not run."""
    every = view.results.cells
    lost = every[(every["machine"] == view.machine) & (every["status"] == "diverged")]
    for row in lost.to_dict("records"):
        if series_of({str(key): value for key, value in row.items()}, view.form) == name:
            return Traced(str(row["why"]), [str(row["cell"])])
    return NONE


def _images(found: tuple[float | None, float | None, float | None]) -> str:
    expected, fewest, most = ("beyond reach" if n is None else f"{n:,.0f}" for n in found)
    return expected if found[0] is None else f"{expected} ({fewest} to {most})"


def _next_ten(share: float) -> float:
    return min(0.95, (int(10 * share) + 1) / 10)
