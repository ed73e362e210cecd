"""Many small pictures in one array, for the charts that show pictures."""

import math

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray


def mosaic(
    tiles: NDArray[np.float64], columns: int, gap_px: int = 1, background: float = 1.0
) -> NDArray[np.float64]:
    """Tiles [n, h, w] or [n, h, w, 3] side by side in rows of `columns`, with gaps between them."""
    count, height, width = tiles.shape[:3]
    rows = math.ceil(count / columns)
    step_y, step_x = height + gap_px, width + gap_px
    shape = (rows * step_y - gap_px, columns * step_x - gap_px, *tiles.shape[3:])
    whole = np.full(shape, background, dtype=np.float64)
    for i, tile in enumerate(tiles):
        top, left = i // columns * step_y, i % columns * step_x
        whole[top : top + height, left : left + width] = tile
    return whole


def as_pictures(images: NDArray[np.generic]) -> NDArray[np.float64]:
    """Images [n, 3, h, w], uint8 or float in 0…1, as [n, h, w, 3] in 0…1."""
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    return np.clip(images.astype(np.float64).transpose(0, 2, 3, 1) / scale, 0.0, 1.0)


def blank(axes: Axes) -> None:
    """Axes without ticks, grid or frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
