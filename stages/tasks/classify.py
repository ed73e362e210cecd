"""Say which class an image shows: one cross-entropy, one accuracy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from stages import models

if TYPE_CHECKING:
    from stages.core.params import Params


class Classify:
    """The task of `task: classify`."""

    metrics: tuple[str, ...] = ("top1",)
    excludes: Mapping[str, str] = {}

    def build(self, params: "Params", classes: int) -> models.BuiltModel:
        """The model of the table, as it is."""
        return models.build(params, classes)

    def heads(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """The one answer is a class."""
        return {"top1": list(classes)}

    def draw(self, seed: int, purpose: str, epoch: int, count: int) -> dict[str, Tensor]:
        """Nothing is random here but what augmentation does."""
        return {}

    def prepare(
        self, images: Tensor, labels: Tensor, draws: Mapping[str, Tensor]
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Images [b, 3, h, w] and their labels, unchanged."""
        return (images,), labels

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
        """Cross-entropy of logits [b, classes] with labels [b] or shares [b, classes]."""
        return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether the largest logit is the label's (the largest share's): bool [b, 1]."""
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        return (outputs.argmax(1) == labels).unsqueeze(1)


TASK = Classify()
