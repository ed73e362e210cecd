"""A head that asks the nearest training images: k-nearest-neighbour classification as a layer.

Votes are weighted by exp(cosine / 0.07) of normalised features, as in Wu et al.,
arXiv:1805.01978. Training features and labels are buffers, so a weights file carries them. Leaves
choosing k to `training.nearest`.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.models.heads import linear_head, replace_head

TEMPERATURE = 0.07
FLOOR = 1e-3  # of all votes, shared by the classes: an answer without a vote has a finite loss


class NeighborsHead(nn.Module):
    """Features [b, width] to log shares of the votes [b, classes]."""

    def __init__(self, features: Tensor, labels: Tensor, classes: int, neighbors: int) -> None:
        super().__init__()
        self.register_buffer("features", F.normalize(features, dim=1))
        self.register_buffer("labels", labels)
        self.register_buffer("neighbors", torch.tensor(neighbors))
        self.classes, self.asked = classes, neighbors

    def forward(self, features: Tensor) -> Tensor:
        """The logarithm of each class's share of the votes of the nearest.

        In float32 always: half precision would make the cosines of many neighbours equal.
        """
        with torch.autocast(features.device.type, enabled=False):
            known = self.get_buffer("features")
            cosines = F.normalize(features.float(), dim=1) @ known.T
            near, rows = cosines.topk(self.asked, dim=1)
            return log_votes(near, self.get_buffer("labels")[rows], self.classes)


def log_votes(cosines: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Log shares [b, classes] of the votes of neighbours, cosines and labels [b, k] each."""
    weights = (cosines / TEMPERATURE).softmax(dim=1).unsqueeze(1)
    votes = (weights @ F.one_hot(labels, classes).to(weights.dtype)).squeeze(1)
    return ((1 - FLOOR) * votes + FLOOR / classes).log()


def adopt_neighbors(model: nn.Module, weights: Mapping[str, Tensor], classes: int) -> None:
    """Give the model a head of neighbours if weights of one are to be loaded into it."""
    found = [name.removesuffix(".neighbors") for name in weights if name.endswith(".neighbors")]
    if found:
        name, _ = linear_head(model)
        features, labels = (torch.zeros_like(weights[f"{name}.{part}"])
                            for part in ("features", "labels"))  # fmt: skip
        asked = int(weights[f"{name}.neighbors"])
        replace_head(model, name, NeighborsHead(features, labels, classes, asked))
