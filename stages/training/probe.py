"""A head that is fitted at once on the features of a frozen trunk, as a finished training.

`finetune: probe` and `finetune: knn` have no epochs, no learning rate and no augmentation: the
history has one row and the trace one step, which takes all images.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from stages.core.counts import counted
from stages.core.errors import DivergedError
from stages.datasets.pixels import Split
from stages.models.heads import linear_head, replace_head
from stages.runs.schema import DATA_COLUMNS, SETTING_COLUMNS
from stages.training.data_trace import hash_epoch, hash_steps
from stages.training.engine import weights_of
from stages.training.frozen import FrozenEngine
from stages.training.inference import Outputs
from stages.training.logistic import fit_probe
from stages.training.loop import Trained, TrainState
from stages.training.nearest import fit_neighbors
from stages.training.recorder import Record
from stages.training.trace import grad_norm, hash_gradients, hash_tensors, record_step


def fit_at_once(engine: FrozenEngine, val: Split | None, log: Callable[[str], None]) -> Trained:
    """Fit the head of the engine's model in place. Its seconds include those of the features.

    Raises DivergedError for features that are not finite.
    """
    precision = engine.params.train.precision
    if not torch.isfinite(engine.train_features).all():
        cure = (
            "Use `train.precision: fp32`, or set `train.on_nonfinite: fp32` to have that done."
            if precision != "fp32" else "Its weights are damaged, or unfit for these images."
        )  # fmt: skip
        raise DivergedError(
            f"The features of {engine.params.model} are not finite in {precision}. {cure}",
            epoch=1, step=1, precision=precision,
        )  # fmt: skip
    log(f"fitting a head of {engine.params.model} to {counted(engine.count, 'image')}")
    before = hash_tensors(engine.model.named_parameters())
    started = time.perf_counter()
    head, answers, told = _fitted(engine)
    seconds = engine.feature_seconds + time.perf_counter() - started
    log(told)
    replace_head(engine.model, engine.head_name, head.to(engine.device))
    _note(engine, told)
    loss = float(engine.task.loss(answers, engine.train_labels.cpu(), 0.0))
    outputs = engine.evaluator(val, "val")(engine.model) if val and len(val.labels) else None
    correct = engine.task.correct(answers, engine.train_labels.cpu())
    (data,) = hash_steps(engine.take_all_at_once().unsqueeze(0))
    row = {
        "epoch": 1,
        "lr": 0.0,  # there is none
        "train_loss": loss,
        "val_loss": outputs.loss if outputs else None,
        **_accuracies(engine, correct, outputs),
        **hash_epoch([data]),
        "val_images_hash": outputs.inputs.images_hash if outputs else None,
        "seconds": seconds,
    }
    state = TrainState(steps=1, seconds=seconds, history=[row], best_epoch=1)
    record = Record(initial_weights_hash=before)
    if engine.params.train.trace_steps:
        step, record.tensor_trace = _traced(engine, loss)
        beside = zip([*SETTING_COLUMNS, *DATA_COLUMNS], [0.0, None, *data], strict=True)
        record.trace = [step | dict(beside)]
    return Trained(engine, weights_of(engine.model), state, record)


def _fitted(engine: FrozenEngine) -> tuple[nn.Module, Tensor, str]:
    """The new head, its answers for the training images, and what to note of it."""
    _, layer = linear_head(engine.model)
    features, labels = engine.train_features.cpu(), engine.train_labels.cpu()
    if engine.params.finetune == "knn":
        return fit_neighbors(features, labels, layer.out_features)
    return fit_probe(features, labels, layer.out_features, engine.params.seed)


def _note(engine: FrozenEngine, told: str) -> None:
    notes = {**engine.built.notes, "head": told}
    if engine.params.pretrained is False:
        notes["weights"] = "random: their features are a baseline, not transfer"
    engine.built = replace(engine.built, notes=notes)


def _accuracies(
    engine: FrozenEngine, correct: Tensor, outputs: Outputs | None
) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for column, name in enumerate(engine.task.metrics):
        row[f"train_{name}"] = float(correct[:, column].double().mean())
        row[f"val_{name}"] = float(outputs.correct[:, column].double().mean()) if outputs else None
    return row


def _traced(engine: FrozenEngine, loss: float) -> tuple[dict[str, object], list[dict[str, object]]]:
    """The fit as one step: its loss, the gradient that is left of it, and the weights."""
    engine.model.zero_grad(set_to_none=True)
    head = engine.model.get_submodule(engine.head_name)
    if list(head.parameters()):
        answers = head(engine.train_features)
        torch.autograd.backward(engine.task.loss(answers, engine.train_labels, 0.0))
    grads, norm = hash_gradients(engine.model), grad_norm(engine.model)
    return record_step(engine.model, grads, 1, 1, loss, norm)
