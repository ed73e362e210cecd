"""Grad-CAM over the images: where the evidence for the predicted class lies."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from stages.charts.mosaic import as_pictures, blank
from stages.charts.style import INK, figure


def evidence_overlay(
    images: NDArray[np.generic], maps: NDArray[np.float32], captions: Sequence[str]
) -> Figure:
    """Pictures [n, 3, h, w] on top, below them the same in grey under `maps` [n, h', w'] in 0…1.

    Maps are smoothed to the picture's size; bright yellow is the strongest evidence.
    """
    count = len(images)
    drawn = figure(1.45 * count, 3.1)
    grid = drawn.subplots(2, count, squeeze=False)
    for axes in grid.flat:
        blank(axes)
    for column, picture in enumerate(as_pictures(images)):
        grey = picture.mean(axis=2, keepdims=True)
        glow = colormaps["inferno"](_resized(maps[column], picture.shape[:2]))[..., :3]
        grid[0, column].imshow(picture, interpolation="nearest")
        grid[0, column].set_title(captions[column], loc="center", fontsize=9, color=INK, pad=3)
        grid[1, column].imshow(0.45 * grey + 0.55 * glow, interpolation="nearest")
    return drawn


def _resized(values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float64]:
    smooth = Image.fromarray(values.astype(np.float32))
    resized = smooth.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized, dtype=np.float64), 0.0, 1.0)
