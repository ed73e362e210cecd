"""A collection out of arrays of pixels, for data sets that come as tables and not as files."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.datasets.pool import Collection, numbered

if TYPE_CHECKING:
    from PIL import Image


def collection_of(
    classes: list[str],
    pixels: NDArray[np.uint8],
    labels: list[int],
    splits: list[str],
    files: tuple[Path, ...] = (),
) -> Collection:
    """The collection of images that lie in one array.

    `pixels` is [n, h, w] for grey and [n, h, w, 3] for RGB, 0 … 255. An image's content is its
    pixel bytes, so its digest does not depend on the archive that it came in.
    """
    height, width = pixels.shape[1:3]
    mode = "L" if pixels.ndim == 3 else "RGB"

    def picture(content: bytes) -> "Image.Image":
        from PIL import Image

        return Image.frombytes(mode, (width, height), content)

    return Collection(
        classes=classes,
        names=numbered(splits),
        splits=splits,
        labels=labels,
        content=lambda index: pixels[index].tobytes(),
        picture=picture,
        files=list(files),
    )
