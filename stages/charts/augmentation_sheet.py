"""What each augmentation does to real pictures: a row per augmentation, the originals on top."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.charts.mosaic import as_pictures, blank, mosaic
from stages.charts.style import INK, figure


def augmentation_sheet(
    originals: NDArray[np.generic], augmented: Mapping[str, NDArray[np.generic]]
) -> Figure:
    """Pictures [n, 3, h, w], uint8 or float in 0…1; `augmented` names a row for each array."""
    rows = {"original": originals, **augmented}
    count = len(originals)
    drawn = figure(1.5 + 0.85 * count, 0.92 * len(rows))
    grid = drawn.subplots(len(rows), 1, squeeze=False)
    for axes, (name, images) in zip(grid.flat, rows.items(), strict=True):
        blank(axes)
        gap_px = max(1, images.shape[2] // 16)
        axes.imshow(mosaic(as_pictures(images), count, gap_px), interpolation="nearest")
        axes.set_ylabel(
            name.replace("_", " "), rotation=0, ha="right", va="center", color=INK, fontsize=10
        )
    return drawn
