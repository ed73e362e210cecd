"""Put the test images through the trained model, once, and measure what came out.

Reads the weights, the subset and the machine's identity; writes metrics, predictions per image,
tables for the plots, and pictures. Where int8 is among `profile.variants` the metrics have its
accuracy too.
"""

import sys
import time
from typing import TYPE_CHECKING

from stages.runs.stage import run_stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from matplotlib.figure import Figure

    from stages.core.params import Params
    from stages.datasets.pixels import Split
    from stages.measures.evaluation.split_figures import Evaluation
    from stages.training.inference import Outputs
    from stages.training.trained import TrainedModel


def evaluate(params: "Params") -> None:
    """The stage. Raises UserError subclasses for what the user can mend."""
    from stages.core import paths
    from stages.core.device import memory_advice, prepare
    from stages.core.metrics import read_metrics, write_metrics
    from stages.core.records import FILES, hashes_of, require_recorded
    from stages.datasets.pixels import load_splits, read_indices
    from stages.measures.evaluation.split_figures import evaluate_outputs
    from stages.measures.interpretation.album import augmentation_picture, pictures_of_test
    from stages.runs.belonging import require_same_training
    from stages.runs.made_with import PARAMS, depended_on, made_here, made_with
    from stages.tasks import task_of
    from stages.training.inference import Evaluator
    from stages.training.trained import load_trained

    device = prepare(params)
    recorded = read_metrics(paths.TRAIN_METRICS).get("weights_sha256")
    require_recorded(paths.WEIGHTS, recorded, paths.TRAIN_METRICS)
    here = {"weights_sha256": recorded, **made_here()}
    require_same_training({PARAMS: depended_on("train", params)} | here)
    indices = read_indices(paths.INDICES)
    splits = load_splits(params.dataset, indices, params.input_size, ["train", "test"])
    test = splits["test"]
    trained = load_trained(params, paths.WEIGHTS, device)
    started = time.perf_counter()
    task = task_of(params)
    with memory_advice(device, "Lower `evaluate.batch_size`."):
        evaluator = Evaluator(task, test, trained.view, device, params.seed, "test")
        outputs = evaluator(trained.model)
    seconds = time.perf_counter() - started
    heads = task.heads(trained.classes)
    evaluation = evaluate_outputs(outputs, test.names, heads)
    _save_tables(evaluation)
    answers = next(iter(heads.values()))
    album = pictures_of_test(trained, evaluator, test, evaluation.predictions, answers)
    train = splits["train"]
    album["augmentation"] = augmentation_picture(
        train, params.train.augment, params.seed, len(trained.classes)
    )
    _save_pictures(album)
    tables = [paths.ALL_PREDICTIONS, paths.PREDICTIONS, paths.PER_CLASS, paths.RELIABILITY]
    written = hashes_of([*tables, *sorted(paths.PICTURES.iterdir())])
    values = evaluation.metrics | {"evaluate_seconds": seconds, FILES: written}
    values |= made_with("evaluate", params) | here
    if params.profile.int8:
        values |= _in_int8(trained, outputs, splits)
    write_metrics(paths.EVALUATE_METRICS, values, _shown(heads, values))


def _shown(heads: "Iterable[str]", values: "Mapping[str, Any]") -> list[str]:
    """The metrics that DVC's tables have a column for."""
    from stages.measures.evaluation.unequal import EVEN

    if_there = (EVEN, "int8_top1", "int8_balanced_accuracy")
    return [f"test_{metric}" for metric in heads] + [name for name in if_there if name in values]


def _in_int8(
    trained: "TrainedModel", outputs: "Outputs", splits: "Mapping[str, Split]"
) -> "dict[str, Any]":
    """The figures of the file that `python -m stages.export --int8` writes, and a line of them."""
    from stages.core import paths
    from stages.core.combinations import DEFAULT_TASK
    from stages.deployment.held import Reference
    from stages.deployment.int8 import int8_figures
    from stages.deployment.network import subject_of
    from stages.runs.weights_file import read_weights

    about, _ = read_weights(paths.WEIGHTS.read_bytes(), str(paths.WEIGHTS))
    if about.task != DEFAULT_TASK:
        return {"int8_reason": f"with `task: {about.task}` there is no file that takes one picture"}
    subject = subject_of(about, trained, lambda: splits["train"].pixels)
    found = int8_figures(subject, Reference(splits["test"], outputs.logits[0]))
    if (top1 := found.get("int8_top1")) is not None:
        sys.stdout.write(f"In int8 {100 * top1:.1f} % of the test images are right.\n")
    return found


def _save_pictures(album: "Mapping[str, Figure]") -> None:
    from stages.charts.style import save
    from stages.core import files, paths

    files.emptied(paths.PICTURES)
    for name, drawn in album.items():
        save(drawn, paths.PICTURES / f"{name}.png")


def _save_tables(evaluation: "Evaluation") -> None:
    from stages.core import files, paths
    from stages.measures.evaluation.predictions import predictions_for_git

    kept = predictions_for_git(evaluation.in_words)
    files.write_csv(paths.ALL_PREDICTIONS, evaluation.in_words)
    files.write_csv(paths.PREDICTIONS, kept)
    files.write_csv(paths.PER_CLASS, evaluation.per_class)
    files.write_csv(paths.RELIABILITY, evaluation.reliability)
    if len(kept) < len(evaluation.in_words):
        sys.stdout.write(
            f"{paths.PREDICTIONS} has the first {len(kept):,} of {len(evaluation.in_words):,} test "
            f"images, every class in its share; {paths.ALL_PREDICTIONS}, in the DVC cache, all.\n"
        )


if __name__ == "__main__":
    sys.exit(run_stage(evaluate))
