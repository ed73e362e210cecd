"""All figures and tables of a trained model on one split of images.

The first head of the task (the class; for the puzzle, the quadrant) gives the tables per class
and per image; every head gives an accuracy with its interval. Used by the evaluate stage and by
study cells. Leaves files to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch.nn import functional as F

from stages.measures.accuracy import confusion, per_class, wilson_interval
from stages.measures.calibration import expected_calibration_error, reliability
from stages.training.inference import Outputs


@dataclass(frozen=True)
class Evaluation:
    """`metrics` as in metrics/evaluate.json; tables as their files under plots/ and data/."""

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    per_class: pd.DataFrame
    confusion: pd.DataFrame
    reliability: pd.DataFrame


def evaluate_outputs(
    outputs: Outputs, names: Sequence[str], heads: dict[str, list[str]]
) -> Evaluation:
    """Measure `outputs` for images called `names`; `heads` names the answers per metric."""
    answers = next(iter(heads.values()))
    logits, labels = outputs.logits[0], outputs.targets.reshape(len(names), -1)[:, 0]
    probabilities = F.softmax(logits.double(), dim=1)
    confidence, predicted = (values.numpy() for values in probabilities.max(dim=1))
    losses = F.cross_entropy(logits.double(), labels, reduction="none").numpy()
    actual = labels.numpy()
    bins = reliability(confidence, predicted == actual)
    table = per_class(actual, predicted, answers)
    predictions = pd.DataFrame(
        {
            "name": names,
            "label": actual,
            "predicted": predicted,
            "confidence": confidence.astype(np.float32),
            "loss": losses.astype(np.float32),
        }
    )
    columns = [f"p{index}" for index in range(len(answers))]
    shares = pd.DataFrame(probabilities.float().numpy(), columns=columns)
    metrics = {
        "test_loss": outputs.loss,
        **_accuracies(outputs, list(heads)),
        "test_images": len(names),
        "ece": expected_calibration_error(bins),
        "top1_per_class": _per_class_metrics(table),
    }
    return Evaluation(
        metrics=metrics,
        predictions=pd.concat([predictions, shares], axis=1),
        per_class=table,
        confusion=confusion(actual, predicted, answers),
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
