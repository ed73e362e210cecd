"""One picture of any size and mode becomes a square of RGB bytes.

Only formats that hold photographs are opened, so that no interpreter of page descriptions is
started on a file of unknown origin. All arithmetic on pixels is Pillow's, in integers. Leaves
which pictures, and what to do about bad ones, to `reading`.
"""

import io
import threading
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
USUAL = ("JPEG", "PNG", "BMP", "GIF", "PPM")  # which Pillow opens without loading all its formats
HEIC = (".heic", ".heif", ".hif")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff",
     ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".avif", *HEIC)
)  # fmt: skip
PHOTOMETRIC = 262  # the tag of a TIFF that says whether 0 is black or white
MOST_MEGAPIXELS = 1000  # of a JPEG, which need not be decoded whole
MOST_DECODED_MEGAPIXELS = 256
LARGE_MEGAPIXELS = 32
_one_large_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Square:
    """A decoded picture: `pixels` is uint8 [3, side, side], `native_px` the shorter side it had.

    `bits` are those of a value in the file that are used; pictures with 16 come from cameras and
    scanners that fill 12 of them, too.
    """

    pixels: NDArray[np.uint8]
    native_px: int
    bits: int = 8

    @property
    def side(self) -> int:
        """Side of the square in pixels."""
        return int(self.pixels.shape[1])


def picture_of(content: bytes) -> "Image.Image":
    """Open the bytes of an image file; the pixels are decoded later, on first use."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # the limits are those of `square_of`, which knows the draft
    with suppress(UnidentifiedImageError):
        return Image.open(io.BytesIO(content), formats=USUAL)
    _register_heif()
    return Image.open(io.BytesIO(content), formats=[name for name in FORMATS if name in _opened()])


@cache
def unread_suffixes() -> dict[str, str]:
    """Suffixes of pictures that cannot be read here, each with the package that would."""
    from PIL import features

    missing = {} if find_spec("pillow_heif") else dict.fromkeys(HEIC, "pillow-heif")
    if not features.check("avif"):
        missing[".avif"] = "pillow"
    return missing


@cache
def _register_heif() -> None:
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()


@cache
def _opened() -> frozenset[str]:
    from PIL import Image

    Image.init()
    return frozenset(Image.OPEN)


def square_of(picture: "Image.Image", largest_px: int) -> Square:
    """The centre square of a picture, reduced to `largest_px` where it is larger.

    Upright by its EXIF orientation, in RGB, transparency laid on white. Raises whatever Pillow
    raises on broken data, and ValueError for pixels without an agreed range or far too many.
    """
    from PIL import Image, ImageOps

    native = min(picture.size)
    _require_at_most(MOST_MEGAPIXELS, picture)
    # JPEG can skip detail while decoding; twice the size leaves the last step to a good filter.
    picture.draft(None, (2 * largest_px, 2 * largest_px))
    _require_at_most(MOST_DECODED_MEGAPIXELS, picture)
    with _one_large_at_a_time if _megapixels(picture) > LARGE_MEGAPIXELS else nullcontext():
        picture.load()
        bits, inverted = _bits_of(picture), _white_is_zero(picture)
        picture = rgb(ImageOps.exif_transpose(picture), bits, inverted)
        side = min(native, largest_px)
        if side == native:  # nothing to reduce: whole pixels are cut off, and the others kept
            left, top = ((length - side) // 2 for length in picture.size)
            picture = picture.crop((left, top, left + side, top + side))
        else:
            picture = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
        return Square(np.asarray(picture).transpose(2, 0, 1), native, bits)


def _megapixels(picture: "Image.Image") -> float:
    return picture.width * picture.height / 1e6


def _require_at_most(most: int, picture: "Image.Image") -> None:
    if (found := _megapixels(picture)) > most:
        raise ValueError(f"it has {found:,.0f} megapixels, of which {most} can be decoded here")


def _bits_of(picture: "Image.Image") -> int:
    """The bits of a value that a picture uses: 8, 12 or 16.

    Scanners and thermal cameras put 12 bits into files of 16; PGM says its range, and Pillow
    scales it to 16.
    """
    if picture.format == "PPM" and picture.mode == "I":
        return 16
    if not picture.mode.startswith("I;16"):
        return 8
    return 12 if np.asarray(picture).max() < 1 << 12 else 16


def _white_is_zero(picture: "Image.Image") -> bool:
    """Whether 0 stands for white, which Pillow sees to in values of up to 8 bits alone."""
    tags = getattr(picture, "tag_v2", {}) if picture.mode.startswith("I;16") else {}
    return bool(tags.get(PHOTOMETRIC, 1) == 0)


def rgb(picture: "Image.Image", bits: int = 8, inverted: bool = False) -> "Image.Image":
    """The picture in RGB, transparency laid on white. Raises ValueError when no range is known.

    Values of more than 8 `bits` are scaled; Pillow would clip them. Of an `inverted` picture 0 is
    white.
    """
    from PIL import Image

    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if bits > 8:
        values = np.asarray(picture).astype(np.uint16)
        grey = (values >> bits - 8).astype(np.uint8)
        grey = 255 - grey if inverted else grey
        if isinstance(clear := picture.info.get("transparency"), int):
            grey[values == clear] = 255
        return Image.fromarray(grey).convert("RGB")
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
