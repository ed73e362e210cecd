"""The filters of the first layer as colour pictures."""

import math

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.mosaic import blank, mosaic
from stages.charts.style import figure

SHOWN = 96


def first_layer_filters(weights: NDArray[np.float32]) -> Figure:
    """Weights [filters, 3, height, width]: grey is zero, each filter at its full contrast.

    At most 96 filters are shown, the first ones.
    """
    shown = weights[:SHOWN].astype(np.float64)
    largest = np.abs(shown).max(axis=(1, 2, 3), keepdims=True)
    tiles = 0.5 + 0.5 * shown / np.where(largest > 0, largest, 1.0)
    columns = max(4, math.ceil(math.sqrt(2 * len(tiles))))
    picture = mosaic(tiles.transpose(0, 2, 3, 1), columns)
    height, width = picture.shape[:2]
    drawn = figure(5.2, 0.1 + 5.1 * height / width)
    axes = drawn.add_subplot()
    blank(axes)
    axes.imshow(picture, interpolation="nearest")
    return drawn
