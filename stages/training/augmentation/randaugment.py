"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719) for a whole batch without grouping.

Two operations per image out of fourteen, at magnitude 9 of 30. They are of three sorts, and a
layer does one pass of each over the batch, neutral for images that drew another sort: move
(shear, translate, rotate) looks pixels up at a fixed-point position; blend (brightness, colour,
contrast, sharpness) mixes with a plainer image; table (posterise, solarise, auto-contrast,
equalise) replaces values. The integers drawn are each image's own arguments to the passes, so
the device needs neither the list of operations nor a decision of the host. Choices are sums of
products with 0 and 1: on a CPU they are many times faster than selections.

Differences from torchvision's version: shear is about the centre, and positions are rounded from
16 fractional bits.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.training.augmentation.color import (
    blend,
    equalized_table,
    grey_of,
    look_up,
    mean_of,
    smoothed,
    stretched_table,
)
from stages.training.augmentation.draws import ONE, below

LAYERS = 2
STRENGTH = 9 / 30
SHEAR = round(0.3 * STRENGTH * ONE)
SHIFT = round(150 / 331 * STRENGTH * ONE)
COS, SIN = 64729, 10252  # of 30 degrees times the strength, in 1/65536
FACTOR = round(0.9 * STRENGTH * 256)
POSTERIZE_MASK = 0xFE  # 7 bits are kept at this strength
SOLARIZE_FROM = 179  # 255 · (1 - strength), rounded up

BLENDS = ("none", "brightness", "contrast", "color", "sharpness")
TABLES = ("none", "posterize", "solarize", "autocontrast", "equalize")
_COLUMNS = 8  # of an operation: xx, xy, yx, yy, shift x, shift y, blend and factor, table


def _operation(
    matrix: tuple[int, int, int, int] = (ONE, 0, 0, ONE),
    shift: tuple[int, int] = (0, 0),
    blend: str = "none",
    factor: int = 256,
    table: str = "none",
) -> tuple[int, ...]:
    return (*matrix, *shift, BLENDS.index(blend) * 1024 + factor, TABLES.index(table))


def _signed(sign: int) -> list[tuple[int, ...]]:
    factor = 256 + sign * FACTOR
    return [
        _operation(),
        _operation(matrix=(ONE, sign * SHEAR, 0, ONE)),
        _operation(matrix=(ONE, 0, sign * SHEAR, ONE)),
        _operation(shift=(sign * SHIFT, 0)),
        _operation(shift=(0, sign * SHIFT)),
        _operation(matrix=(COS, sign * SIN, -sign * SIN, COS)),
        *(_operation(blend=name, factor=factor) for name in BLENDS[1:]),
        *(_operation(table=name) for name in TABLES[1:]),
    ]


MOVES = ("identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate")
NAMES = MOVES + BLENDS[1:] + TABLES[1:]
OPERATIONS = np.array([_signed(1), _signed(-1)], dtype=np.int32)
"""Arguments of every operation, [sign, operation, columns]."""


def draw(source: np.random.Philox, count: int) -> NDArray[np.int32]:
    """The arguments of two operations per image, [count, 16]."""
    choice = below(source, OPERATIONS.shape[1], count, LAYERS)
    sign = below(source, 2, count, LAYERS)
    return OPERATIONS[sign, choice].reshape(count, LAYERS * _COLUMNS)


def apply(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Apply the operations drawn [b, 16] to uint8 images [b, 3, s, s], one layer after another."""
    for layer in torch.split(drawn, _COLUMNS, dim=1):
        pixels = _move(pixels, layer[:, :6])
        pixels = _blend(pixels, layer[:, 6] >> 10, layer[:, 6] & 1023)
        pixels = _replace(pixels, layer[:, 7])
    return pixels


def _move(pixels: Tensor, drawn: Tensor) -> Tensor:
    """Fetch each pixel from an affine position, the nearest; black where that is outside."""
    size = pixels.shape[-1]
    xx, xy, yx, yy, shift_x, shift_y = drawn.view(-1, 6, 1, 1).unbind(1)
    # Twice the distance from the centre is whole for odd and even sizes alike.
    away = torch.arange(1 - size, size, 2, dtype=torch.int32, device=pixels.device)
    half = size << 16  # (size - 1) back from the centre and 1 to round to the nearest
    column = (xx * away + xy * away[:, None] + 2 * size * shift_x + half) >> 17
    row = (yx * away + yy * away[:, None] + 2 * size * shift_y + half) >> 17
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    place = (row * size + column).mul_(inside).flatten(1).long().unsqueeze(1)
    moved = pixels.flatten(2).gather(2, place.expand(-1, pixels.shape[1], -1))
    return moved.view(pixels.shape).mul_(inside.unsqueeze(1))


def _blend(pixels: Tensor, kind: Tensor, factor: Tensor) -> Tensor:
    kind = kind.view(-1, 1, 1, 1)
    grey = grey_of(pixels)
    plain = smoothed(pixels) * (kind == BLENDS.index("sharpness"))
    plain += grey * (kind == BLENDS.index("color"))
    plain += mean_of(grey) * (kind == BLENDS.index("contrast"))
    return blend(pixels, plain, factor)


def _replace(pixels: Tensor, kind: Tensor) -> Tensor:
    kind = kind.view(-1, 1, 1)
    values = torch.arange(256, dtype=torch.int32, device=pixels.device)
    inverted = torch.where(values >= SOLARIZE_FROM, 255 - values, values)
    table = stretched_table(pixels) * (kind == TABLES.index("autocontrast"))
    table += equalized_table(pixels) * (kind == TABLES.index("equalize"))
    table += values * (kind == TABLES.index("none"))
    table += (values & POSTERIZE_MASK) * (kind == TABLES.index("posterize"))
    table += inverted * (kind == TABLES.index("solarize"))
    return look_up(pixels, table.byte())
