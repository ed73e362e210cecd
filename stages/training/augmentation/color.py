"""Colour in integers: blends with a plainer image, lookup tables, and the colour jitter.

Images are uint8 [b, 3, s, s]; factors are int32 [b] in 1/256, 256 meaning 'unchanged'. Sums of
integers have no rounding, so means and histograms are the same in any order and on any device.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.training.augmentation.draws import below

STRENGTH = 102
"""Jitter factors are uniform in 1 ± 0.4 (DeiT, arXiv:2012.12877): 256 ± 102."""


def draw_jitter(source: np.random.Philox, count: int) -> NDArray[np.int32]:
    """Factors of brightness, contrast and saturation, [count, 3]."""
    return (256 - STRENGTH + below(source, 2 * STRENGTH + 1, count, 3)).astype(np.int32)


def jitter(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Change brightness, then contrast, then saturation."""
    brightness, contrast, saturation = drawn.unbind(1)
    pixels = blend(pixels, torch.zeros_like(pixels), brightness)
    pixels = blend(pixels, mean_of(grey_of(pixels)), contrast)
    return blend(pixels, grey_of(pixels), saturation)


def blend(pixels: Tensor, plain: Tensor, factor: Tensor) -> Tensor:
    """`plain` + factor · (`pixels` - `plain`), rounded and clipped; `plain` broadcasts."""
    plain = plain.int()
    mixed = (pixels.int() - plain).mul_(factor.view(-1, 1, 1, 1)).add_(128).bitwise_right_shift_(8)
    return mixed.add_(plain).clamp_(0, 255).byte()


def grey_of(pixels: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, [b, 1, s, s], in the 16-bit integer weights that Pillow uses."""
    red, green, blue = pixels.int().unbind(1)
    luma = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return luma.byte().unsqueeze(1)


def mean_of(grey: Tensor) -> Tensor:
    """Mean of grey images, rounded, [b, 1, 1, 1]."""
    area = grey.shape[-2] * grey.shape[-1]
    total = grey.sum((1, 2, 3), dtype=torch.int64, keepdim=True)
    return ((total + area // 2) // area).byte()


def smoothed(pixels: Tensor) -> Tensor:
    """Pillow's SMOOTH filter: the centre counts 5, its eight neighbours 1; edges stay."""
    values = pixels.short()
    rows = values[:, :, :-2] + values[:, :, 1:-1] + values[:, :, 2:]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    weighted = box + 4 * values[:, :, 1:-1, 1:-1]
    result = pixels.clone()
    # x // 13 for x up to 3,321 as a multiplication, which vectorises where division does not.
    result[:, :, 1:-1, 1:-1] = ((weighted.int() + 6) * 5042 >> 16).byte()
    return result


def look_up(pixels: Tensor, table: Tensor) -> Tensor:
    """Replace every value by its entry in uint8 tables [b, 3, 256]."""
    return table.gather(2, pixels.flatten(2).long()).view(pixels.shape)


def stretched_table(pixels: Tensor) -> Tensor:
    """Auto-contrast: each channel's darkest value to 0, its brightest to 255; int32 [b, 3, 256]."""
    low = pixels.amin((2, 3)).int().unsqueeze(-1)
    span = pixels.amax((2, 3)).int().unsqueeze(-1) - low
    values = _values(pixels)
    stretched = ((values - low) * 255 + span // 2).clamp_(min=0) // span.clamp(min=1)
    return torch.where(span == 0, values, stretched.clamp_(max=255))


def equalized_table(pixels: Tensor) -> Tensor:
    """Histogram equalisation as Pillow does it, per channel; int32 [b, 3, 256]."""
    batch, channels, size, _ = pixels.shape
    planes = torch.arange(batch * channels, device=pixels.device).unsqueeze(1) * 256
    places = pixels.reshape(batch * channels, -1).long().add_(planes).flatten()
    counts = torch.zeros(batch * channels * 256, dtype=torch.int32, device=pixels.device)
    counts.scatter_add_(0, places, torch.ones_like(places, dtype=torch.int32))
    counts = counts.view(batch, channels, 256)
    brightest = counts.gather(2, pixels.amax((2, 3)).long().unsqueeze(-1))
    step = (size * size - brightest) // 255
    before = counts.cumsum(-1, dtype=torch.int32) - counts
    equal = (before + step // 2) // step.clamp(min=1)
    return torch.where(step == 0, _values(pixels), equal.clamp_(max=255))


def _values(pixels: Tensor) -> Tensor:
    return torch.arange(256, dtype=torch.int32, device=pixels.device)
