"""The head that asks the nearest training images, its k chosen by leaving one out.

Nothing is fitted but k: every training image is classified by the others, and the k with the lowest
loss is kept.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.core.counts import counted
from stages.models.neighbors import NeighborsHead, log_votes

TRIED = (1, 3, 5, 10, 20, 50, 100)
LOOKED_UP_AT_ONCE = 1024  # images


def fit_neighbors(
    features: Tensor, labels: Tensor, classes: int
) -> tuple[NeighborsHead, Tensor, str]:
    """The head on features [n, width] with labels [n], n at least 2, and what to note of it.

    Between them its answers [n, classes] for the training images, each by the others.
    """
    tried = [k for k in TRIED if k < len(labels)]
    answers = _by_the_others(features, labels, classes, tried)
    losses = {k: float(F.cross_entropy(answers[k], labels)) for k in tried}
    chosen = min(tried, key=lambda k: losses[k])
    told = (
        f"the votes of the {chosen} nearest of {counted(len(labels), 'training image')}, by "
        "cosine; training figures are of each image by the others"
    )
    return NeighborsHead(features, labels, classes, chosen), answers[chosen], told


def _by_the_others(
    features: Tensor, labels: Tensor, classes: int, tried: list[int]
) -> dict[int, Tensor]:
    """Log shares of votes [n, classes] by number of neighbours, leaving out the image itself."""
    known = F.normalize(features, dim=1)
    parts: dict[int, list[Tensor]] = {k: [] for k in tried}
    for start in range(0, len(known), LOOKED_UP_AT_ONCE):
        cosines = known[start : start + LOOKED_UP_AT_ONCE] @ known.T
        cosines.diagonal(start).fill_(-torch.inf)
        near, rows = cosines.topk(tried[-1], dim=1)
        for k, found in parts.items():
            found.append(log_votes(near[:, :k], labels[rows[:, :k]], classes))
    return {k: torch.cat(found) for k, found in parts.items()}
