"""Feature maps of layers for a few images: a row per image, a column per layer, channels inside."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.mosaic import as_pictures, blank, mosaic
from stages.charts.style import INK, MUTED, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from stages.measures.interpretation.activations import LayerActivations

SIDE = 6  # channels shown: a square of this side
COLOURS = "magma"  # perceptually uniform, readable without colour


def activation_maps(
    images: NDArray[np.generic], captions: Sequence[str], layers: "Sequence[LayerActivations]"
) -> Figure:
    """`images` [n, 3, h, w] (uint8 or 0…1) with the maps that `layers` have for them.

    Of each layer 36 channels are shown, evenly spread over all. Brightness is relative to the
    channel: black is its smallest value, or a channel that is constant.
    """
    drawn = figure(1.5 + 2.1 * len(layers), 0.75 + 2.1 * len(images))
    ratios = [0.6] + [1.0] * len(layers)
    grid = drawn.subplots(len(images), len(ratios), squeeze=False, width_ratios=ratios)
    for axes in grid.flat:
        blank(axes)
    for row, picture in enumerate(as_pictures(images)):
        grid[row, 0].imshow(picture, interpolation="nearest")
        grid[row, 0].set_xlabel(captions[row], color=INK)
        for column, layer in enumerate(layers, start=1):
            tiles = np.stack([_relative(tile) for tile in _spread(layer.maps[row])])
            gap_px = max(1, tiles.shape[1] // 12)
            whole = np.ma.masked_invalid(mosaic(tiles, SIDE, gap_px, background=np.nan))
            grid[row, column].imshow(whole, cmap=COLOURS, vmin=0, vmax=1, interpolation="nearest")
    for column, layer in enumerate(layers, start=1):
        _head(grid[0, column], layer)
    return drawn


def _head(axes: "Axes", layer: "LayerActivations") -> None:
    _, channels, height, width = layer.maps.shape
    axes.set_title(layer.name, loc="center", fontsize=10.5, pad=20)
    axes.text(
        0.5,
        1.02,
        f"{channels} × {height}×{width}, {100 * layer.sparsity:.0f} % at zero",
        transform=axes.transAxes,
        ha="center",
        va="bottom",
        fontsize=8.5,
        color=MUTED,
    )


def _spread(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most 36 of the channels, evenly spread."""
    count = min(SIDE * SIDE, len(maps))
    places = np.linspace(0, len(maps) - 1, count).round().astype(int)
    return np.take(maps, places, axis=0)


def _relative(tile: NDArray[np.float32]) -> NDArray[np.float64]:
    """A map scaled to 0…1 between its own ends; all 0 when it is constant."""
    low, high = float(tile.min()), float(tile.max())
    return (tile.astype(np.float64) - low) / (high - low if high > low else 1.0)
