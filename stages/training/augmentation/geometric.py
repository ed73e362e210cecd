"""Crop, flip and erasing: whole pixels are moved or covered, never interpolated.

Every function takes uint8 images [b, 3, s, s] and int32 draws [b, k], and is exact.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.training.augmentation.draws import ONE, below, fractions

PADDING_SHARE = 8
"""Images are padded by an eighth of their size: 4 pixels at 32, as is usual on CIFAR."""

ERASING_PROBABILITY = 0.25
ERASED_AREA = (0.02, 1 / 3)
NARROWEST = 0.3
GREY = 128


def draw_crop(source: np.random.Philox, count: int) -> NDArray[np.int32]:
    """Fractions of the room to move in, [count, 2]: down, right."""
    return fractions(source, count, 2).astype(np.int32)


def crop(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Pad with black and cut the original size out again, at a place of each image's own."""
    batch, channels, size, _ = pixels.shape
    padding = max(1, size // PADDING_SHARE)
    padded = F.pad(pixels, (padding,) * 4)
    wide = size + 2 * padding
    corner = (drawn.long() * (2 * padding + 1)) >> 16
    reach = torch.arange(size, device=pixels.device)
    # Whole rows first: a row is contiguous, so this is a copy of `wide` bytes at a time.
    planes = torch.arange(batch * channels, device=pixels.device).view(batch, channels, 1) * wide
    lines = planes + (corner[:, :1] + reach)[:, None, :]
    strips = padded.view(-1, wide).index_select(0, lines.flatten())
    columns = (corner[:, 1:] + reach)[:, None, None, :].expand(pixels.shape)
    return strips.view(batch, channels, size, wide).gather(3, columns)


def draw_flip(source: np.random.Philox, count: int) -> NDArray[np.int32]:
    """One coin per image, [count, 1]."""
    return below(source, 2, count, 1).astype(np.int32)


def flip(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Mirror left and right where the coin is 1."""
    forward = torch.arange(pixels.shape[-1], device=pixels.device)
    columns = torch.where(drawn == 1, forward.flip(0), forward)
    return pixels.gather(3, columns[:, None, None, :].expand(pixels.shape))


def draw_erasing(source: np.random.Philox, count: int) -> NDArray[np.int32]:
    """A box per image in fractions, [count, 4]: top, bottom, left, right; mostly an empty one.

    Area uniform in 2…33 % of the image, aspect ratio in 0.3…1 or its inverse (Zhong et al. 2017,
    arXiv:1708.04896); a rectangle that would be longer than the image is cut to it.
    """
    chance, area, aspect, top, left = fractions(source, count, 5).T / ONE
    lying = below(source, 2, count) == 1
    area = ERASED_AREA[0] + area * (ERASED_AREA[1] - ERASED_AREA[0])
    narrow = np.sqrt(area * (NARROWEST + aspect * (1 - NARROWEST)))
    sides = np.stack([narrow, np.minimum(area / narrow, 1.0)])
    height, width = np.where(lying, sides, sides[::-1]) * (chance < ERASING_PROBABILITY)
    top, left = top * (1 - height), left * (1 - width)
    box: NDArray[np.float64] = np.stack([top, top + height, left, left + width], axis=1)
    return np.floor(box * ONE).astype(np.int32)


def erase(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Cover each image's box with mid-grey."""
    covered = inside(drawn, pixels.shape[-1]).unsqueeze(1)
    return pixels * ~covered + covered.byte() * GREY  # faster than masked_fill on a CPU


def inside(boxes: Tensor, size: int) -> Tensor:
    """Which pixels lie in boxes [..., 4] given in fractions; bool [..., size, size]."""
    top, bottom, left, right = ((boxes * size + ONE // 2) >> 16).unsqueeze(-1).unbind(-2)
    reach = torch.arange(size, device=boxes.device)
    rows, columns = (reach >= top) & (reach < bottom), (reach >= left) & (reach < right)
    return rows.unsqueeze(-1) & columns.unsqueeze(-2)
