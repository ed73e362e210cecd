"""Training on classes of unequal size: weights in the loss, or an order that balances them.

`train.class_weights: balanced` gives a class the weight n / (classes · n of the class), as
scikit-learn does, by the counts of the training subset; classes without images do not count.
`train.sampler: balanced` draws as many images of each class into an epoch, which is as long as
ever. Validation and test are measured as without.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.core import streams


def balanced_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """A weight per class, float32 [classes]; over the images of `labels` [n] their mean is 1."""
    counts = np.bincount(labels, minlength=classes)
    met = np.count_nonzero(counts)
    weights = len(labels) / (met * np.maximum(counts, 1)) * (counts > 0)
    return torch.from_numpy(weights.astype(np.float32))


def weighted_loss(
    outputs: Tensor, targets: Tensor, label_smoothing: float, weights: Tensor
) -> Tensor:
    """The mean over images of cross-entropy times the weight of the image's class.

    `outputs` are logits [b, classes], `targets` labels [b] or shares [b, classes]. The weight
    is of the label: it multiplies the whole loss of the label, smoothed or not, and the loss of a
    blend is the blend of its images' weighted losses. Divided is by the number of images, not by
    the sum of their weights, so that the parts of a batch add up.
    """
    classes = outputs.shape[1]
    shares = targets if targets.is_floating_point() else F.one_hot(targets, classes).float()
    shares = shares * weights
    spread = label_smoothing * shares.sum(1, keepdim=True) / classes
    return F.cross_entropy(outputs, (1 - label_smoothing) * shares + spread)


def balanced_order(source: np.random.Philox, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of an epoch's images [n], every class as often as any other to within one.

    The images of a class are taken in turn, each round in a new order, so that within a class no
    image comes twice more often than another; a class with more than its part leaves some out.
    """
    count, met = len(labels), np.unique(labels)
    first = streams.order(source, len(met))  # which classes get the images that are left over
    drawn = []
    for place, label in enumerate(met[first]):
        members = np.flatnonzero(labels == label)
        wanted = count // len(met) + (place < count % len(met))
        rounds = -(-wanted // len(members))
        turns = [members[streams.order(source, len(members))] for _ in range(rounds)]
        drawn.append(np.concatenate(turns)[:wanted])
    return np.concatenate(drawn)[streams.order(source, count)]
