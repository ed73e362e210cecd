"""All figures and tables of a trained model on one split of images.

The first head of the task (the class; for the puzzle, the quadrant) gives the tables per class and
per image; every head gives an accuracy with its interval. Used by the evaluate stage and by study
cells.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.core.errors import RunError
from stages.measures.evaluation.accuracy import per_class, wilson_interval
from stages.measures.evaluation.calibration import expected_calibration_error, reliability
from stages.measures.evaluation.predictions import answered, in_words
from stages.measures.evaluation.unequal import are_unequal, balanced_figures
from stages.training.inference import Outputs


@dataclass(frozen=True)
class Evaluation:
    """`metrics` as in metrics/evaluate.json; tables as their files under plots/ and data/.

    The metrics have the figures of `unequal.BALANCED` where the classes of the test images are
    unequal and the task has one question. Under `inputs` they have what the model was shown
    (`training.inference.Inputs`). `predictions` has the first head's answers as class numbers,
    `in_words` all as class names.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    in_words: pd.DataFrame
    per_class: pd.DataFrame
    reliability: pd.DataFrame


def evaluate_outputs(
    outputs: Outputs, names: Sequence[str], heads: dict[str, list[str]]
) -> Evaluation:
    """Measure `outputs` for images called `names`; `heads` names the answers per metric.

    Raises RunError for a loss that is not finite, which no metric can say.
    """
    if not math.isfinite(outputs.loss):
        raise RunError(
            f"The loss on the test images is {outputs.loss}: the weights are so large "
            "that answers overflow. Train with a lower `train.lr`."
        )
    targets = outputs.targets.reshape(len(names), -1).unbind(dim=1)
    found = [answered(*pair) for pair in zip(outputs.logits, targets, strict=True)]
    first, answers = found[0], next(iter(heads.values()))
    actual, predicted = first["label"].to_numpy(), first["predicted"].to_numpy()
    bins = reliability(first["confidence"].to_numpy(), predicted == actual)
    table = per_class(actual, predicted, answers)
    unequal = len(heads) == 1 and are_unequal(table["images"].to_numpy())
    found = [head.astype({"confidence": np.float32, "loss": np.float32}) for head in found]
    metrics = {
        "test_loss": outputs.loss,
        **_accuracies(outputs, list(heads)),
        **(balanced_figures(actual, predicted) if unequal else {}),
        "test_images": len(names),
        "ece": expected_calibration_error(bins),
        "top1_per_class": _per_class_metrics(table),
        "inputs": asdict(outputs.inputs),
    }
    return Evaluation(
        metrics=metrics,
        predictions=found[0].assign(name=names),
        in_words=in_words(names, heads, found),
        per_class=table,
        reliability=bins,
    )


def _accuracies(outputs: Outputs, metrics: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    images = len(outputs.correct)
    for position, name in enumerate(metrics):
        correct = int(outputs.correct[:, position].sum())
        low, high = wilson_interval(correct, images)
        found |= {f"test_{name}": correct / images}
        found |= {f"test_{name}_low": low, f"test_{name}_high": high}
    return found


def _per_class_metrics(table: pd.DataFrame) -> dict[str, float | None]:
    pairs = zip(table["class"], table["top1"], strict=True)
    return {name: None if pd.isna(value) else float(value) for name, value in pairs}
