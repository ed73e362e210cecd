"""The charts and tables of a run's page, section by section; nothing where data is missing."""

import pandas as pd

from stages.charts.confusion import ANNOTATED, confusion_matrix, most_confused
from stages.charts.cost import block_bars, latency_bars, memory_bars, throughput_curves
from stages.charts.curves import accuracy_curves, learning_rate_curve, loss_curves
from stages.charts.hardest import hardest_rows
from stages.charts.per_class import per_class_bars
from stages.charts.reliability import reliability_diagram
from stages.core.params import Params
from stages.pages.blocks import Picture, Table, drawing, png
from stages.pages.formatting import NONE, interval, number, percent, plain
from stages.reporting import descriptions as described
from stages.reporting.headline import accuracies
from stages.reporting.repeat import changes, experiment, flat
from stages.reporting.targets import Verdict
from stages.runs.run import Run

CAPTIONS = {
    "hardest": "Test images with the largest loss. Above: what it is. Below: what it was taken "
    "for, and how confidently.",
    "activations": "Feature maps of test images, up to 36 channels of each layer, from the stem to "
    "the depth. Brightness is relative to the channel; “at zero” is the share of all values that "
    "are zero or negative.",
    "filters": "Filters of the first layer. Grey is zero.",
    "grad_cam": "Grad-CAM: where the evidence for the predicted class lies (bright is strong).",
    "augmentation": "What each augmentation does to training images; by chance it leaves some "
    "as they are.",
}
CROWDED = 30  # classes, from which on the chart per class shows only the worst


def learning(run: Run) -> list[Picture]:
    """Accuracy, loss and learning rate per epoch."""
    history = run.history
    if history is None or history.empty:
        return []
    best = run.train.get("best_epoch")
    names = [accuracy.metric for accuracy in accuracies(run)] or _metrics_of(history)
    drawn = [
        drawing(accuracy_curves(history, best, name), described.accuracy_by_epoch(history, name))
        for name in names
        if f"train_{name}" in history
    ]
    drawn.append(drawing(loss_curves(history, best), described.loss_by_epoch(history)))
    if "lr" in history:
        drawn.append(drawing(learning_rate_curve(history), described.rate_by_epoch(history)))
    return drawn


def classes(run: Run) -> list[Picture]:
    """Accuracy per class, as bars."""
    if run.per_class is None or run.per_class.empty:
        return []
    first = next(iter(accuracies(run)), None)
    table, caption = run.per_class, ""
    if len(table) > CROWDED:
        table = table.sort_values("top1", kind="stable").head(CROWDED)
        caption = f"The {CROWDED} worst of {len(run.per_class)} classes; the table has all."
    figure = per_class_bars(table, first.value if first else None)
    return [drawing(figure, described.per_class(run.per_class), caption)]


def class_table(run: Run) -> Table | None:
    """Each class with its interval, and what it is most often taken for."""
    if run.per_class is None:
        return None
    taken: dict[str, str] = {}
    if run.answers is not None:
        for _, row in most_confused(run.answers, pairs=len(run.answers)).iterrows():
            taken.setdefault(row["label"], f"{row['predicted']} ({percent(row['share'])})")
    rows = tuple(
        (
            str(row["class"]),
            percent(row["top1"]),
            interval(row["low"], row["high"]),
            plain(int(row["images"])),
            taken.get(str(row["class"]), NONE),
        )
        for _, row in run.per_class.iterrows()
    )
    head = ("class", "accuracy", "95 % interval", "images", "most often taken for")
    return Table(head, rows, numeric=(1, 2, 3))


def confusion(run: Run) -> list[Picture]:
    """The confusion matrix; it scrolls sideways when there are many classes."""
    if run.answers is None or run.per_class is None:
        return []
    names = list(run.per_class["class"])
    caption = "Rows add up to 100 %. Blue: right. Orange: mistakes." + _shortened(run)
    figure = confusion_matrix(run.answers, names)
    label = described.confusion(len(names), most_confused(run.answers, pairs=1))
    return [drawing(figure, label, caption, wide=len(names) > ANNOTATED)]


def _shortened(run: Run) -> str:
    """How many test images the predictions at hand are of, when not of all."""
    known = 0 if run.answers is None else len(run.answers)
    every = run.evaluate.get("test_images", known)
    return f" From the first {known:,} of {every:,} test images." if known < every else ""


def confused_table(run: Run) -> Table | None:
    """The ten most frequent mistakes."""
    if run.answers is None:
        return None
    rows = tuple(
        (row["label"], row["predicted"], plain(int(row["images"])), percent(row["share"]))
        for _, row in most_confused(run.answers).iterrows()
    )
    return Table(("actual", "taken for", "images", "of the class"), rows, numeric=(2, 3))


def calibration(run: Run) -> list[Picture]:
    """The reliability diagram."""
    if run.reliability is None:
        return []
    ece = run.evaluate.get("ece")
    caption = "Below the dashed line the network is more confident than it is right."
    label = described.reliability(run.reliability, ece)
    return [drawing(reliability_diagram(run.reliability, ece), label, caption)]


def picture(run: Run, name: str) -> list[Picture]:
    """One of the PNG files of the run."""
    caption = CAPTIONS.get(name, "")
    if name not in run.pictures:
        return []
    return [png(run.pictures[name], described.PICTURES[name], caption, wide=name != "filters")]


def hardest_table(run: Run) -> Table | None:
    """Names of the images with the largest loss, and what was said of them."""
    if run.answers is None or "loss" not in run.answers:
        return None
    rows = tuple(
        (
            row["name"],
            row["label"],
            row["predicted"],
            percent(row["confidence"]),
            number(row["loss"]),
        )
        for _, row in hardest_rows(run.answers).iterrows()
    )
    head = ("image", "actual", "taken for", "confidence", "loss")
    return Table(head, rows, numeric=(3, 4))


def costs(run: Run) -> list[Picture]:
    """Latency, throughput, memory and cost per block."""
    drawn = []
    if run.profile_table is not None and not run.profile_table.empty:
        table = run.profile_table
        drawn.append(drawing(latency_bars(table), described.latency(table)))
        drawn.append(drawing(throughput_curves(table), described.throughput(table)))
    if run.profile:
        drawn.append(drawing(memory_bars(run.profile), described.memory(run.profile)))
    if run.profile_blocks is not None and not run.profile_blocks.empty:
        caption = "Cost of each block for one image, from input to output."
        drawn.append(
            drawing(block_bars(run.profile_blocks), described.blocks(run.profile_blocks), caption)
        )
    return drawn


def changed_params(params: Params) -> Table | None:
    """Parameters that are set otherwise than where they are left out."""
    rows = tuple((key, plain(new), plain(old)) for key, (new, old) in
                 changes(params, Params()).items())  # fmt: skip
    return Table(("parameter", "value", "left out"), rows) if rows else None


def all_params(params: Params) -> Table:
    """Every parameter."""
    rows = tuple((key, plain(value)) for key, value in flat(params).items())
    return Table(("parameter", "value"), rows)


def machine(run: Run) -> Table | None:
    """The hardware DNA, field by field."""
    if not run.hardware:
        return None
    unread = "not readable, or not there"
    rows = tuple((key, unread if value is None else plain(value))
                 for key, value in run.hardware.items())  # fmt: skip
    return Table(("field", "value"), rows)


def target_table(verdicts: list[Verdict]) -> Table | None:
    """The targets and their verdicts."""
    if not verdicts:
        return None
    rows = tuple(
        (
            verdict.target.name,
            verdict.target.dataset,
            f"≥ {percent(verdict.target.minimum_top1, 0)}",
            percent(verdict.target.reported_top1, 0),
            _verdict(verdict),
        )
        for verdict in verdicts
    )
    head = ("target", "data set", "minimum", "at the source", "here")
    return Table(head, rows, numeric=(2, 3))


def target_commands(verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """Name and command of each target that this run does not answer."""
    return [
        (verdict.target.name, experiment(verdict.target.overrides))
        for verdict in verdicts
        if verdict.status == "not run"
    ]


def _verdict(verdict: Verdict) -> str:
    if verdict.top1 is None:
        return verdict.status
    doubt = "" if verdict.sure else ", within the interval"
    return f"{verdict.status}{doubt}: {percent(verdict.top1)}"


def _metrics_of(history: pd.DataFrame) -> list[str]:
    return [
        name.removeprefix("train_")
        for name in map(str, history)
        if name.startswith("train_") and name != "train_loss"
    ]
