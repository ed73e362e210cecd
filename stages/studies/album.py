"""The pictures of a study's page, drawn from the same view as its tables."""

import numpy as np
import pandas as pd

from stages.charts.confusion import ANNOTATED, confusion_matrix
from stages.charts.study_bars import overfitting, speed_and_accuracy
from stages.charts.study_curves import Band, accuracy_by_size, loss_by_epoch
from stages.charts.study_matrix import WIDE, class_heat_map
from stages.charts.study_points import cost_against_accuracy
from stages.charts.style import metric_label
from stages.reporting.parts import Picture, drawing
from stages.studies.scaling import fit
from stages.studies.table import View, front

FRONT = (
    "Each model at its best recipe. Diamonds are the Pareto front: no other is as accurate and as "
    "cheap."
)
MOST_LINES = 12  # series in one chart of curves


def data_size(view: View) -> list[Picture]:
    """Accuracy against data size with fitted curves and bands; needs two sizes."""
    if len(view.sizes) < 2:
        return []
    label = metric_label(view.results.metrics[0])
    caption = (
        "Points: means over seeds with 95 % intervals. Lines and bands: power law of the error, "
        "fitted to all runs."
    )
    drawn = accuracy_by_size(view.main, bands(view), label)
    return [drawing(drawn, "accuracy against data size", caption)]


def bands(view: View) -> dict[str, Band]:
    """The fitted curve of each series at 40 places over the sizes and twice the largest."""
    images = np.geomspace(view.sizes[0], 2 * view.sizes[-1], 40)
    found = {}
    for name, cells in view.cells.groupby("series", sort=False):
        curve = fit(cells, view.results.main)
        if curve is not None:
            places = np.array([curve.accuracy(float(size)) for size in images])
            found[str(name)] = (images, places[:, 0], places[:, 1], places[:, 2])
    return found


def trade_offs(view: View) -> list[Picture]:
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
        points = points.assign(front=front(points, column))
        figure = cost_against_accuracy(points, column, name, f"{title} (test {label})")
        drawn.append(drawing(figure, title, FRONT))
    return drawn


def _best_of_each(points: pd.DataFrame) -> pd.DataFrame:
    """The most accurate recipe of each model: the others cost the same and would lie below it."""
    return points.loc[points.groupby("model", sort=False)["mean"].idxmax()]


def bars(view: View) -> list[Picture]:
    """Accuracy and throughput side by side."""
    costs = view.costs()
    column = "throughput_images_per_second"
    if column not in costs or costs.empty:
        return []
    label = metric_label(view.results.metrics[0])
    figure = speed_and_accuracy(costs, column, "images per second, best batch", label)
    return [drawing(figure, "accuracy and speed", wide=True)]


def losses(view: View) -> list[Picture]:
    """Loss curves at the largest size, means over seeds."""
    largest = view.cells[view.cells["train_images"] == view.sizes[-1]]
    own = view.results.histories[view.results.histories["machine"] == view.machine]
    joined = own.merge(largest[["cell", "series"]], on="cell")
    shown = list(dict.fromkeys(largest["series"]))[:MOST_LINES]
    joined = joined[joined["series"].isin(shown)]
    caption = f"Means over seeds at {view.sizes[-1]:,} training images."
    return [drawing(loss_by_epoch(joined), "loss by epoch", caption, wide=True)]


def gaps(view: View) -> list[Picture]:
    """Training and test accuracy at the largest size."""
    metric = view.results.metrics[0]
    largest = view.cells[view.cells["train_images"] == view.sizes[-1]]
    means = largest.groupby("series", sort=False)[[f"train_{metric}", f"test_{metric}"]].mean()
    rows = means.set_axis(["train", "test"], axis=1).reset_index()
    rows = rows.assign(gap=rows["train"] - rows["test"])
    caption = "Training accuracy is counted while the weights move, on augmented images if any."
    figure = overfitting(rows, f"{metric_label(metric)} at {view.sizes[-1]:,} images")
    return [drawing(figure, "overfitting", caption)]


def heat_map(shares: pd.DataFrame) -> list[Picture]:
    """Accuracy per class and series."""
    return [drawing(class_heat_map(shares), "accuracy per class", wide=shares.shape[1] > WIDE)]


def confusion(view: View) -> list[Picture]:
    """The leading series' confusion at the largest size, all its seeds together."""
    leader = str(view.at(view.sizes[-1]).iloc[0]["series"])
    largest = view.cells[view.cells["train_images"] == view.sizes[-1]]
    names = largest.loc[largest["series"] == leader, "cell"]
    predicted = view.results.predictions
    mine = (predicted["machine"] == view.machine) & predicted["cell"].isin(names)
    answers = np.asarray(view.results.answers, dtype=object)
    chosen = predicted[mine]
    table = pd.DataFrame(
        {
            "actual": answers[chosen["label"].to_numpy(int)],
            "predicted": answers[chosen["predicted"].to_numpy(int)],
        }
    )
    figure = confusion_matrix(table, view.results.answers)
    caption = f"{leader}: shares of each actual class in %, {len(names)} runs together."
    return [drawing(figure, "confusion matrix", caption, wide=len(answers) > ANNOTATED)]
