"""The engine of a frozen trunk: only the head computes, on features that were made once.

Taken where training sees of an image what evaluation sees: the trunk is frozen, nothing random
comes before the head, and the head alone makes the logits. Weights, trace and checkpoints are of
the whole model, as in any engine.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stages.core.combinations import AT_ONCE
from stages.core.device import send
from stages.core.errors import ModelError
from stages.core.params import Params
from stages.datasets.pixels import Split
from stages.models.heads import linear_head
from stages.runs.code import code_files, code_id
from stages.tasks import Task
from stages.training.augmentation import Augmenter
from stages.training.batch import Batch, Epoch
from stages.training.checkpoint import TRAINING
from stages.training.distributed import world_size
from stages.training.engine import Engine, view_of
from stages.training.features import Features, feature_folder, features_of, through_trunk
from stages.training.images import gather_images
from stages.training.inference import Evaluator, Outputs
from stages.training.trace import hash_tensors


def engine_for(
    params: Params,
    task: Task,
    split: Split,
    classes: int,
    device: torch.device,
    identity: str | None = None,
    log: Callable[[str], None] | None = None,
) -> Engine:
    """The engine that a run needs. `identity` is the machine's; without it no features are kept.

    Raises ModelError as building the model does, and when `finetune` asks for features of a model
    that does not end in one linear layer.
    """
    made = (params, task, split, classes, device)
    if params.finetune in AT_ONCE:
        return FrozenEngine(*made, identity, log)
    recipe = params.train
    random = recipe.augment or recipe.dropout or recipe.compile
    shared = recipe.devices > 1 or world_size() > 1
    if params.finetune == "head" and params.task == "classify" and not (random or shared):
        try:
            return FrozenEngine(*made, identity, log)
        except ModelError:  # the head is not the end: trained the long way
            pass
    return Engine(*made)


class FrozenEngine(Engine):
    """An engine whose inputs are the trunk's features. `head_name` is the layer that reads them."""

    feature_seconds: float

    def __init__(
        self,
        params: Params,
        task: Task,
        split: Split,
        classes: int,
        device: torch.device,
        identity: str | None,
        log: Callable[[str], None] | None,
    ) -> None:
        super().__init__(params, task, split, classes, device)
        if params.finetune in AT_ONCE:  # the features are of the images as they are
            self.augmenter = Augmenter([], params.seed, self.count, classes)
        self.head_name, self.forward = linear_head(self.model)
        self._require_final_head()
        self._log = log or (lambda line: None)
        self._folder = self._place(identity) if identity else None
        found = self.features(split)
        self.feature_seconds = found.seconds
        self.train_features, self.train_labels = found.values.to(device), self._labels

    def features(self, split: Split) -> Features:
        """The features of a split, computed or found."""

        def compute(part: Split) -> Tensor:
            shown = Evaluator(
                self.task, part, view_of(self), self.device, self.params.seed, "features"
            )
            return through_trunk(self.model, self.head_name, shown)

        return features_of(split, self._folder, compute, self._log)

    def evaluator(self, split: Split, purpose: str) -> Evaluator:
        """A split read as features, by the head of the model that it is called with."""
        features = self.features(split).values.to(self.device)
        return HeadEvaluator(self, split, purpose, features)

    def first_values(self) -> Tensor:
        """The features of the training images: rounding enters there."""
        return self.train_features

    def take_all_at_once(self) -> Tensor:
        """Let a step take all images; return what it is fed with, as `StepResult.data`."""
        self.batch_size, self.steps_per_epoch = self.count, 1
        return self._batch(self.epoch(1), 0).data

    def _batch(self, epoch: Epoch, index: int) -> Batch:
        place = slice(index * self.batch_size, (index + 1) * self.batch_size)
        batch = super()._batch(epoch, index)
        return replace(batch, images=self.train_features[epoch.order[place]])

    def _micro_batches(self, batch: Batch) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        size = -(-len(batch.images) // self.params.train.accumulate)
        parts = zip(batch.images.split(size), batch.targets.split(size), strict=True)
        for features, targets in parts:
            yield self.task.prepare(features, targets, {})

    def _place(self, identity: str) -> Path:
        view, head = view_of(self), f"{self.head_name}."
        trunk = [row for row in self.model.state_dict().items() if not row[0].startswith(head)]
        return feature_folder({
            "identity": identity,
            "deterministic": self.params.train.deterministic,
            "weights": hash_tensors(trunk),
            "code": code_id(code_files(TRAINING, self.params)),
            "view": repr(view),
            "model": [self.params.model, self.params.stem],
        })  # fmt: skip

    def _require_final_head(self) -> None:
        """Raise ModelError unless the logits are the head's own output on pooled features.

        Where the head is trained the features must be those of evaluation, too.
        """
        model = copy.deepcopy(self.model)
        head = model.get_submodule(self.head_name)
        px = self.built.model_px
        ramp = torch.linspace(-1, 1, 6 * px * px, device=self.device).view(2, 3, px, px)
        images = ramp.contiguous(memory_format=self.memory_format)
        seen: list[tuple[Tensor, Tensor]] = []
        head.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
        fitted = self.params.finetune in AT_ONCE
        with torch.no_grad():
            answers = [
                model.train(mode)(images) for mode in ((False,) if fitted else (False, True))
            ]
        final = all(
            torch.equal(logits, answer) and features.ndim == 2
            for (features, logits), answer in zip(seen, answers, strict=True)
        )
        if not final or not torch.equal(seen[0][0], seen[-1][0]):
            raise ModelError(
                f"`finetune` is {self.params.finetune}, but the answers of {self.params.model} are "
                "not those of one last linear layer on pooled features. Choose another model, or "
                "`finetune: full`."
            )


class HeadEvaluator(Evaluator):
    """A split as features [n, width] on the device, read by the head of a whole model."""

    def __init__(self, engine: FrozenEngine, split: Split, purpose: str, features: Tensor) -> None:
        super().__init__(
            engine.task, split, view_of(engine), engine.device, engine.params.seed, purpose
        )
        self._name, self._features = engine.head_name, features

    def __call__(self, model: nn.Module) -> Outputs:
        """Put the features through the head of `model`, as the whole model would have."""
        return super().__call__(model.get_submodule(self._name))

    def show(self, host_rows: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Features in place of images."""
        rows = send(host_rows, self.device)
        pixels = gather_images(self._pixels, rows, host_rows)
        return pixels, *self.task.prepare(self._features[rows], self._labels[rows], {})

    def first_images(self, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """What the trunk would see, as of a model that is evaluated whole."""
        return super().first_images(rows, super().show(rows)[1])
