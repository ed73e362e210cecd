"""The pictures of a study's page, drawn from the same view as its tables.

Each says below it which cells it was drawn from.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from markupsafe import Markup

from stages.charts.confusion import ANNOTATED, confusion_matrix
from stages.charts.study_bars import accuracy_bars, overfitting, speed_bars
from stages.charts.study_curves import Band, accuracy_by_size, loss_by_epoch
from stages.charts.study_matrix import WIDE, class_heat_map
from stages.charts.study_points import cost_against_accuracy
from stages.charts.style import metric_label
from stages.core.counts import counted
from stages.pages.blocks import Picture, drawing
from stages.studies.analysis.fitted_curves import Fitted
from stages.studies.analysis.machine_results import MachineResults, front
from stages.studies.analysis.traced import Traced

FRONT = (
    "Diamonds are the Pareto front: no other is as accurate and as cheap. Dotted: the score of one "
    "answer to every image."
)
MOST_LINES = 12  # series in one chart of curves
FEW = 4  # cells that a caption names one by one


def data_size(view: MachineResults, curves: Mapping[str, Fitted]) -> list[Picture]:
    """Accuracy against data size with fitted curves and bands; needs two sizes."""
    if len(view.sizes) < 2:
        return []
    label = metric_label(view.results.metrics[0])
    fitted = bands(view, curves)
    caption = "Points: means over seeds with 95 % intervals."
    if fitted:
        caption += " Lines and bands: power law of the error, where it foretold the largest size."
    caption += " Dotted: the score of one answer to every image."
    drawn = accuracy_by_size(view.main, fitted, label, view.chance)
    whose = f" of machine {view.place}" if len(view.results.makers) > 1 else ""
    caption = drawn_from(view.cells, caption, f"every finished one{whose}")
    described = f"Chart of test {label} against the number of training images, a line per backbone"
    return [drawing(drawn, described, caption)]


def bands(view: MachineResults, curves: Mapping[str, Fitted]) -> dict[str, Band]:
    """The fitted curve of each series at 40 places over the sizes and twice the largest.

    Of a curve for which nothing speaks nothing is drawn.
    """
    images = np.geomspace(view.sizes[0], 2 * view.sizes[-1], 40)
    found = {}
    for name, fitted in curves.items():
        if not fitted.doubted:
            places = np.array([fitted.curve.accuracy(float(size)) for size in images])
            found[name] = (images, places[:, 0], places[:, 1], places[:, 2])
    return found


def trade_offs(view: MachineResults) -> list[Picture]:
    """Parameters and latency against accuracy, with the Pareto front."""
    costs, drawn = view.costs(), []
    label = metric_label(view.results.metrics[0])
    axes = {
        "params_total": ("parameters in millions", 1e-6, "Parameters against accuracy"),
        "latency_ms_p50": ("median latency in ms, batch 1", 1.0, "Latency against accuracy"),
    }
    for column, (name, scale, title) in axes.items():
        if column not in costs or costs[column].isna().all():
            continue
        points = _best_of_each(costs.dropna(subset=[column]))
        points = points.assign(**{column: points[column] * scale})
        points = points.assign(front=_front(points, column))
        figure = cost_against_accuracy(points, column, name, f"{title} (test {label})", view.chance)
        cells = _of_main_size(view)
        cells = cells[cells["series"].isin(points["series"])]
        known = costs.dropna(subset=[column])
        which = "each model at its best recipe" if len(points) < len(known) else "each backbone"
        caption = drawn_from(cells, FRONT, f"{which}, at {view.main_size:,} images")
        drawn.append(drawing(figure, f"Scatter chart, a point per backbone: {title}", caption))
    return drawn


def _front(points: pd.DataFrame, column: str) -> "pd.Series[bool]":
    """The Pareto front of what has learned; what is at chance is on none."""
    learned = front(points[points["learned"]], column)
    return learned.reindex(points.index, fill_value=False)


def _best_of_each(points: pd.DataFrame) -> pd.DataFrame:
    """The most accurate recipe of each model at each input size.

    Its other recipes there have the same network, cost the same and would lie below it.
    """
    same = points.groupby(["model", "input_px", "params_total"], sort=False, dropna=False)
    return points.loc[same["mean"].idxmax()]


def bars(view: MachineResults) -> list[Picture]:
    """Accuracy and throughput side by side."""
    costs = view.costs()
    column = "throughput_images_per_second"
    if column not in costs or costs.empty:
        return []
    label = metric_label(view.results.metrics[0])
    where = f"all at {view.main_size:,} images"
    chance = "Dotted: the score of one answer to every image."
    caption = drawn_from(_of_main_size(view), chance, where)
    speed = speed_bars(_networks(costs, column), column, "images per second, best batch")
    once = drawn_from(_of_main_size(view), "Measured once per network.", where)
    accuracy = accuracy_bars(costs, label, view.chance)
    return [
        drawing(accuracy, f"Bar chart of the test {label} of each backbone", caption),
        drawing(speed, "Bar chart of the images per second of each backbone in inference", once),
    ]


def _networks(costs: pd.DataFrame, column: str) -> pd.DataFrame:
    """A row per model and value: recipes of one network cost the same and need no bars each."""
    speed = costs[column].map(lambda value: float(f"{value:.2g}"))  # as in the table
    rows = costs.assign(**{column: speed}).drop_duplicates(["model", column])
    single = ~rows["model"].duplicated(keep=False)
    return rows.assign(series=rows["series"].where(~single, rows["model"]))


def losses(view: MachineResults) -> list[Picture]:
    """Loss curves at the main size, means over seeds; none where nothing has epochs."""
    at_main_size = _of_main_size(view)
    own = view.results.histories[view.results.histories["machine"] == view.machine]
    joined = own.merge(at_main_size[["cell", "series"]], on="cell")
    joined = joined[joined.groupby("series")["epoch"].transform("max") > 1]  # a probe has no curve
    curves = [
        name for name in dict.fromkeys(at_main_size["series"]) if name in set(joined["series"])
    ]
    if not curves:
        return []
    shown = curves[:MOST_LINES]
    joined = joined[joined["series"].isin(shown)]
    cells = at_main_size[at_main_size["series"].isin(shown)]
    which = (
        f"the first {len(shown)} of {len(curves)} series" if len(shown) < len(curves) else "those"
    )
    where = f"{which} at {view.main_size:,} images"
    caption = drawn_from(cells, "Means over seeds.", where)
    label = "Line charts of training and validation loss by epoch, a line per backbone"
    return [drawing(loss_by_epoch(joined), label, caption, wide=True)]


def gaps(view: MachineResults) -> list[Picture]:
    """Training and test accuracy at the main size."""
    metric = view.results.metrics[0]
    at_main_size = view.learned(view.main_size)
    if at_main_size.empty:
        return []
    means = at_main_size.groupby("series", sort=False)[[f"train_{metric}", f"test_{metric}"]].mean()
    rows = means.set_axis(["train", "test"], axis=1).reset_index()
    rows = rows.assign(gap=rows["train"] - rows["test"])
    caption = "Training accuracy is counted while the weights move, on augmented images if any."
    caption = drawn_from(at_main_size, caption, f"all at {view.main_size:,} images")
    figure = overfitting(rows, f"{metric_label(metric)} at {view.main_size:,} images")
    label = f"Chart of the training and test {metric_label(metric)} of each backbone and their gap"
    return [drawing(figure, label, caption)]


def heat_map(view: MachineResults, shares: pd.DataFrame) -> list[Picture]:
    """Accuracy per class and series."""
    if shares.empty:
        return []
    caption = drawn_from(
        view.learned(view.main_size), "", f"those at {view.main_size:,} images that have learned"
    )
    wide = shares.shape[1] > WIDE
    label = "Heat map of the accuracy of each backbone on each class"
    return [drawing(class_heat_map(shares), label, caption, wide=wide)]


def confusion(view: MachineResults) -> list[Picture]:
    """The leading series' confusion at the main size, all its seeds together."""
    ranked, at_main_size = view.ranked(view.main_size), _of_main_size(view)
    if ranked.empty:
        return []
    leader = str(ranked.iloc[0]["series"])
    names = at_main_size.loc[at_main_size["series"] == leader, "cell"]
    predicted = view.results.predictions
    mine = (predicted["machine"] == view.machine) & predicted["cell"].isin(names)
    answers = np.asarray(view.results.answers, dtype=object)
    chosen = predicted[mine]
    table = pd.DataFrame(
        {
            "label": answers[chosen["label"].to_numpy(int)],
            "predicted": answers[chosen["predicted"].to_numpy(int)],
        }
    )
    figure = confusion_matrix(table, view.results.answers)
    caption = f"{leader}: shares of each actual class in %, {counted(len(names), 'run')} together."
    caption = drawn_from(
        at_main_size[at_main_size["series"] == leader], caption, "those of this backbone"
    )
    label = f"Confusion matrix of {leader}, a row per actual class"
    return [drawing(figure, label, caption, wide=len(answers) > ANNOTATED)]


def drawn_from(cells: pd.DataFrame, caption: str, which: str) -> str:
    """The caption with a line that says which cells a picture was drawn from."""
    names = list(cells["cell"])
    told = f"From {len(names)} runs: {which}."
    if len(names) <= FEW:
        told = f"From {', '.join(names)}."
    return Markup("{} <small>{}</small>").format(caption, Traced(told, names))


def _of_main_size(view: MachineResults) -> pd.DataFrame:
    return view.cells[view.cells["train_images"] == view.main_size]
