"""The weights that a run kept, put to its test images here, against the answers it gave.

A fault of the evaluation is found whatever the training did.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stages.comparison.analysis.evaluation import confidence_gap, evaluation_fault
from stages.comparison.analysis.findings import Fault, Kind, Where
from stages.comparison.analysis.limits import Limits
from stages.core import paths
from stages.core.errors import RunError
from stages.runs.run import Run
from stages.runs.sources import Source

if TYPE_CHECKING:
    import torch

    from stages.core.params import Params
    from stages.training.inference import Evaluator
    from stages.training.trained import TrainedModel

ULPS = 30
"""How many times as far as by one ULP the answers may be."""

DIGITS = 5e-5
"""Mean difference in confidence that the four digits of predictions may make at most."""

LOSS_NOISE = 1e-5
"""Relative difference of two losses over the same answers but for rounding."""


@dataclass(frozen=True)
class Answered:
    """How far answers here are from the run's: mean difference in confidence and relative
    difference of the loss, each beside what one ULP of the first layer does to them here.
    """

    images: int
    confidence: float
    confidence_by_one_ulp: float
    loss: float
    loss_by_one_ulp: float
    fault: Fault | None


def answer_here(
    source: Source, record: Run, params: "Params", device: "torch.device", limits: Limits
) -> Answered | None:
    """Evaluate the kept weights; None when they, the images or the answers are not at hand."""
    from stages.training.perturbation import first_layer_weight
    from stages.training.step_trace import nudge

    weights = source.read(paths.WEIGHTS)
    if weights is None or record.predictions is None or "test_loss" not in record.evaluate:
        return None
    recorded = record.train.get("weights_sha256")
    if recorded and hashlib.sha256(weights).hexdigest() != recorded:
        raise RunError(
            f"{paths.WEIGHTS} of {source.name} is not the file that its training recorded. Fetch "
            "it again with `dvc checkout` or `dvc pull`."
        )
    put = _prepared(source, weights, params, device)
    here = _answers(record, "here", *put)
    nudge(first_layer_weight(put[0].model), put[0].view.precision)
    beside = _answers(record, "here after one ULP", *put)
    gaps = [confidence_gap(here, other) or 0.0 for other in (record, beside)]
    losses = [_loss_gap(here, other) for other in (record, beside)]
    fault = evaluation_fault(here, record, limits)
    most = DIGITS + ULPS * gaps[1]
    if fault is None and gaps[0] > most:
        fault = Fault(Kind.REPLAYED, Where("evaluation"), gaps[0], most)
    most = LOSS_NOISE + ULPS * losses[1]
    if fault is None and losses[0] > most:
        fault = Fault(Kind.REPLAYED, Where("evaluation"), losses[0], most)
    return Answered(len(put[2]), gaps[0], gaps[1], losses[0], losses[1], fault)


def _prepared(
    source: Source, weights: bytes, params: "Params", device: "torch.device"
) -> "tuple[TrainedModel, Evaluator, list[str]]":
    from stages.comparison.rerun.rebuilt_engine import images_of
    from stages.datasets.pixels import load_splits
    from stages.runs.weights_file import read_weights
    from stages.tasks import task_of
    from stages.training.inference import Evaluator
    from stages.training.trained import filled

    indices, _ = images_of(source)
    test = load_splits(params.dataset, indices, params.input_size, ["test"])["test"]
    where = f"{paths.WEIGHTS} of {source.name}"
    trained = filled(params, *read_weights(weights, where), device, where)
    evaluator = Evaluator(task_of(params), test, trained.view, device, params.seed, "test")
    return trained, evaluator, test.names


def _answers(
    record: Run, name: str, trained: "TrainedModel", evaluator: "Evaluator", images: list[str]
) -> Run:
    """The record with answers that were given here."""
    from stages.measures.evaluation.predictions import predictions_for_git
    from stages.measures.evaluation.split_figures import evaluate_outputs

    outputs = evaluator(trained.model)
    heads = evaluator.task.heads(trained.classes)
    found = evaluate_outputs(outputs, images, heads)
    exact = found.in_words.astype({"confidence": float})  # as four digits are read from a file
    answers = predictions_for_git(exact)
    return replace(record, name=name, predictions=answers, evaluate=found.metrics)


def _loss_gap(a: Run, b: Run) -> float:
    one, other = a.evaluate["test_loss"], b.evaluate["test_loss"]
    return float(abs(one - other) / max(abs(one), abs(other), 1e-12))
