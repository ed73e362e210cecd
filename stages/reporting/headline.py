"""What the first screen says: title, result with interval, tiles, and what is missing."""

from dataclasses import dataclass
from pathlib import Path

from stages.charts.style import metric_label
from stages.core import paths
from stages.core.combinations import AT_ONCE, DEFAULT_TASK
from stages.core.counts import counted, first_few
from stages.core.metrics import Metrics
from stages.core.params import Params
from stages.measures.evaluation.unequal import BALANCED, EVEN, balanced_low
from stages.pages.blocks import Tile
from stages.pages.formatting import device_name, duration, interval, large, number, percent, plain
from stages.reporting.int8 import int8_tiles
from stages.reporting.repeat import changes, made_params
from stages.runs.run import Run
from stages.runs.schema import accuracies_of

WRITTEN_BY = {
    paths.MACHINE: ("fingerprint", "the machine"),
    paths.SUBSET_METRICS: ("subset", "image counts"),
    paths.TRAIN_METRICS: ("train", "training results"),
    paths.HISTORY: ("train", "training curves"),
    paths.EVALUATE_METRICS: ("evaluate", "test results"),
    paths.PER_CLASS: ("evaluate", "accuracy per class"),
    paths.PREDICTIONS: ("evaluate", "the confusion matrix"),
    paths.RELIABILITY: ("evaluate", "calibration"),
    paths.PROFILE_METRICS: ("profile", "costs"),
    paths.PROFILE_TABLE: ("profile", "costs by variant"),
    paths.PROFILE_BLOCKS: ("profile", "costs by block"),
}
"""By file: the stage, and what it tells."""
FEW_FOR_CALIBRATION = 1000
"""Test images below which a perfectly calibrated model shows an ECE of several per cent."""


@dataclass(frozen=True)
class Accuracy:
    """A test accuracy with its 95 % interval; shares in 0…1."""

    metric: str
    value: float
    low: float | None
    high: float | None

    @property
    def label(self) -> str:
        """Its name as people write it."""
        return metric_label(self.metric)


def accuracies(run: Run) -> list[Accuracy]:
    """All accuracies of the test split, the task's main one first."""
    found = run.evaluate
    names = [(name, f"test_{name}") for name in accuracies_of(found)]
    return [
        Accuracy(name, found[key], found.get(f"{key}_low"), found.get(f"{key}_high"))
        for name, key in names
        if found.get(key) is not None
    ]


def machine_label(run: Run) -> str | None:
    """The device that computed: the accelerator where there is one, else the chip."""
    return f"{device_name(run.hardware)} ({run.hardware.get('backend')})" if run.hardware else None


def summary(params: Params, run: Run) -> str:
    """What was trained how, and on which machine, in a sentence."""
    train, subset = run.train, run.subset
    parts = [] if params.task == DEFAULT_TASK else [f"{params.task} task"]
    if subset:
        images, checked = plain(subset.get("train_images")), subset.get("val_images") or 0
        parts.append(f"{images} training and {counted(checked, 'validation image')}")
    if params.finetune not in AT_ONCE:
        parts.append(counted(train.get("epochs_run", params.train.epochs), "epoch"))
    if params.pretrained is not False:
        parts.append(f"from pretrained weights ({params.finetune})")
    if machine := machine_label(run):
        parts.append(f"on {machine}, hardware DNA {run.hardware.get('id')}")
    return ", ".join(parts) + "."


def tiles(run: Run) -> list[Tile]:
    """The figures that a reader looks for first; only those that were measured."""
    shown = [
        Tile(
            f"test {accuracy.label}",
            percent(accuracy.value),
            f"95 %: {interval(accuracy.low, accuracy.high)}",
        )
        for accuracy in accuracies(run)
    ]
    table, fewest = run.per_class, ""
    if table is not None and (table["images"] > 0).any():  # a class without any has no part in it
        least = int(table.loc[table["images"] > 0, "images"].min())
        fewest = f", the smallest by {counted(least, 'image')}"
    shown += [
        Tile(f"test {label}", percent(run.evaluate[key]), f"counts every class alike{fewest}")
        for key, label in BALANCED.items()
        if run.evaluate.get(key) is not None
    ]
    shown += int8_tiles(run.evaluate)
    ece = run.evaluate.get("ece")
    if ece is not None:
        images = run.evaluate.get("test_images") or FEW_FOR_CALIBRATION
        few = f"; so few as {images:,} images alone make some" * (images < FEW_FOR_CALIBRATION)
        shown.append(Tile("calibration error", percent(ece), f"ECE; 0 is perfect{few}"))
    return shown + _training_tiles(run.train) + _cost_tiles(run)


def _training_tiles(train: Metrics) -> list[Tile]:
    if train.get("train_seconds") is None:
        return []
    epoch = train.get("epoch_seconds_p50")
    detail = "" if epoch is None else f"{duration(epoch)} per epoch"
    return [Tile("training", duration(train["train_seconds"]), detail)]


def _cost_tiles(run: Run) -> list[Tile]:
    profile, shown = run.profile, []
    params = profile.get("params_total", run.train.get("params_total"))
    if params is not None:
        macs, px = profile.get("macs_g"), profile.get("input_px")
        detail = "" if macs is None else f"{large(1e9 * macs)} MACs at {px} px"
        shown.append(Tile("parameters", large(params), detail))
    if (latency := profile.get("latency_ms_p50")) is not None:
        detail = f"median, batch {profile.get('latency_batch_size', 1)}"
        shown.append(Tile("latency", f"{number(latency)} ms", detail))
    if (memory := profile.get("peak_memory_mb")) is not None:
        detail = f"inference, batch {profile.get('peak_memory_batch_size', 1)}"
        shown.append(Tile("peak memory", f"{number(memory)} MB", detail))
    return shown


def notes(params: Params, run: Run) -> list[str]:
    """What a reader must know before believing the page: missing parts, changed plans."""
    lacking = {lack.what: lack for lack in run.lacks}
    said = [
        f"Without {what}: {lack}. Run `dvc repro`."
        if lack.reason
        else f"Without {what}: {lack} is missing. Run `dvc repro {stage}`."
        for path, (stage, what) in WRITTEN_BY.items()
        if (lack := lacking.get(path))
        and not (path == paths.PREDICTIONS and run.answers is not None)
    ]
    if gone := [path for path in lacking if Path(path).parent == paths.PICTURES]:
        named = first_few(map(str, gone), 3)
        said.append(f"Without some pictures: {named} missing. Run `dvc repro evaluate`.")
    said += [f"{note}." for note in run.subset.get("data_notes", [])]
    made = made_params(params, run)
    if edited := _edited(made, params):
        said.append(f"The results were made with {', '.join(edited)}: run `dvc repro`.")
    if fell_back := run.train.get("fell_back_to_fp32"):
        said.append(f"The run {fell_back} and was repeated in fp32.")
    if run.history is not None and not _validated(run) and made.finetune not in AT_ONCE:
        said.append("There was no validation split: the last epoch was kept, not the best.")
    return said + _unlearned(run)


def _edited(made: Params, present: Params) -> list[str]:
    """Parameters of which the results tell another value than there is now."""
    return [
        f"`{key}` {plain(value)}, which is {plain(now)} in params.yaml now"
        for key, (value, now) in changes(made, present).items()
    ]


def _unlearned(run: Run) -> list[str]:
    """A warning where a model that answers the commonest class alone may be as good."""
    found, table = accuracies(run), run.per_class
    if not found or table is None or (low := found[0].low) is None:
        return []
    chance = float(table["images"].max() / table["images"].sum())
    if low > chance:
        return []
    told = (
        f"The test {found[0].label} is not surely above {percent(chance)}, the score of one answer "
        "to every image"
    )
    balanced, alike = run.evaluate.get(EVEN), 1 / int((table["images"] > 0).sum())
    if balanced is not None and (low := balanced_low(table)) > alike:
        return [
            f"{told}, but balanced accuracy is above the {percent(alike)} of that: "
            f"{percent(balanced)}, surely more than {percent(low)}. The model has learned where "
            "every class counts alike."
        ]
    return [f"{told}: the model may have learned nothing yet."]


def _validated(run: Run) -> bool:
    return (
        run.history is not None
        and "val_loss" in run.history
        and bool(run.history["val_loss"].notna().any())
    )
