"""MixUp and CutMix: each image is mixed with its neighbour in the shuffled batch.

MixUp (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899), both
with the share λ from Beta(1, 1): that is the uniform distribution, drawn in steps of 1/256 and
so the same number everywhere, which no other Beta offers without a logarithm. With both asked
for, a coin per step decides.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.training.augmentation.draws import ONE, below, fractions
from stages.training.augmentation.geometric import inside

KINDS = ("mixup", "cutmix")


def draw(source: np.random.Philox, steps: int, kinds: Sequence[str]) -> NDArray[np.int32]:
    """Per step [steps, 5]: weight in 1/256, and the box where it is 0: top, bottom, left, right.

    MixUp has an empty box, CutMix the weight 256 outside a box of area 1 - λ around a uniform
    centre, clipped to the image; edges in fractions of the image.
    """
    weight = below(source, 257, steps)
    cutting = np.array([kind == "cutmix" for kind in kinds])[below(source, len(kinds), steps)]
    half = np.sqrt((256 - weight) / 256) / 2
    centre = fractions(source, steps, 2).T / ONE
    edges = np.stack([centre - half, centre + half], axis=1).reshape(4, steps).clip(0, 1) * ONE
    box = np.floor(edges) * cutting
    return np.stack([np.where(cutting, 256, weight), *box], axis=1).astype(np.int32)


def mix(pixels: Tensor, labels: Tensor, drawn: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Mix uint8 images [b, 3, s, s] and labels [b] as `drawn` [5] says.

    Returns int32 images in 0…255 · 256 and class shares [b, classes]; the shares are those of the
    pixels, after rounding the box to them.
    """
    weight = drawn[0] * ~inside(drawn[1:], pixels.shape[-1])
    ours = pixels.int()
    mixed = ours * weight + ours.roll(1, 0) * (256 - weight)
    share = weight.sum() / (256 * weight.numel())
    targets = F.one_hot(labels, classes).float()
    return mixed, targets * share + targets.roll(1, 0) * (1 - share)
