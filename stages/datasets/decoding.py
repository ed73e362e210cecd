"""One picture of any size and mode becomes a square of RGB bytes.

Only formats that hold photographs are opened, so that no interpreter of page descriptions is
started on a file of unknown origin. All arithmetic on pixels is Pillow's, in integers. Leaves
which pictures, and what to do about bad ones, to `reading`.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff",
     ".ppm", ".pgm", ".pbm", ".pnm", ".avif")
)  # fmt: skip


@dataclass(frozen=True)
class Square:
    """A decoded picture: `pixels` is uint8 [3, side, side], `native_px` the shorter side it had."""

    pixels: NDArray[np.uint8]
    native_px: int

    @property
    def side(self) -> int:
        """Side of the square in pixels."""
        return int(self.pixels.shape[1])


def picture_of(content: bytes) -> "Image.Image":
    """Open the bytes of an image file; the pixels are decoded later, on first use."""
    from PIL import Image

    return Image.open(io.BytesIO(content), formats=FORMATS)


def square_of(picture: "Image.Image", largest_px: int) -> Square:
    """The centre square of a picture, reduced to `largest_px` where it is larger.

    Upright by its EXIF orientation, in RGB, transparency laid on white. Raises whatever Pillow
    raises on broken data, and ValueError for pixels without an agreed range.
    """
    from PIL import Image, ImageOps

    native = min(picture.size)
    # JPEG can skip detail while decoding; twice the size leaves the last step to a good filter.
    picture.draft(None, (2 * largest_px, 2 * largest_px))
    picture.load()
    picture = rgb(ImageOps.exif_transpose(picture))
    side = min(native, largest_px)
    if picture.size != (side, side):
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    return Square(np.asarray(picture).transpose(2, 0, 1), native)


def rgb(picture: "Image.Image") -> "Image.Image":
    """The picture in RGB, transparency laid on white. Raises ValueError when no range is known."""
    from PIL import Image

    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode.startswith("I;16"):  # Pillow would clip 16 bits to 8 instead of scaling
        values = np.asarray(picture).astype(np.uint16) >> 8
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError("its pixels are 32-bit numbers without an agreed range")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def enlarged(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A square [3, s, s] brought to [3, side, side]."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    resized = picture.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(resized).transpose(2, 0, 1)
