"""Pictures of every kind become upright RGB squares."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from stages.datasets import decoding
from stages.datasets.decoding import enlarged, picture_of, square_of
from tests.datasets.samples import random_pixels


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def square(picture: Image.Image, px: int, kind: str = "PNG", **options: object) -> np.ndarray:
    pixels = square_of(picture_of(encoded(picture, kind, **options)), px).pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape[0] == 3
    return pixels


def test_small_pictures_keep_every_pixel():
    pixels = random_pixels(32, 32, 3)
    kept = square(Image.fromarray(pixels), 224)
    np.testing.assert_array_equal(kept, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("wide", [33, 34])
def test_small_pictures_that_are_not_square_are_cut_and_not_interpolated(wide: int):
    """The centre of 33 columns lies half a pixel beside that of 32."""
    pixels = random_pixels(32, wide, 3)
    left = (wide - 32) // 2
    cut = pixels[:, left : left + 32].transpose(2, 0, 1)
    np.testing.assert_array_equal(square(Image.fromarray(pixels), 224), cut)
    np.testing.assert_array_equal(square(Image.fromarray(pixels), 32), cut)


def test_large_pictures_are_reduced_and_small_ones_are_not():
    picture = Image.fromarray(random_pixels(60, 90, 3))
    for px, side in ((32, 32), (60, 60), (224, 60)):
        result = square_of(picture_of(encoded(picture)), px)
        assert (result.side, result.native_px) == (side, 60)


def test_a_scan_in_which_0_is_white_is_not_inverted():
    """Of 16 bits; Pillow sees to 8. The file is written as black-is-zero, and its tag turned."""
    values = np.full((8, 8), 60_000, np.uint16)
    content = encoded(Image.fromarray(values), "TIFF")
    tag = struct.pack("<HHII", 262, 3, 1, 1)
    assert content.count(tag) == 1
    shown = square_of(picture_of(content), 8).pixels
    turned = square_of(
        picture_of(content.replace(tag, struct.pack("<HHII", 262, 3, 1, 0))), 8
    ).pixels
    assert (shown[0, 0, 0], turned[0, 0, 0]) == (60_000 >> 8, 255 - (60_000 >> 8))


def test_the_centre_is_kept():
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (10, 0, 30, 20))
    blue = np.array([0, 0, 255]).reshape(3, 1, 1)
    assert (square(picture, 20) == blue).all()
    assert (square(picture, 10)[:, :, 2:-2] == blue).all()


def test_large_photographs_are_decoded_at_a_fraction_and_stay_alike():
    smooth = Image.linear_gradient("L").resize((1600, 1200)).convert("RGB")
    quick = square(smooth, 32, "JPEG", quality=95)
    exact = square(smooth, 32, "PNG")
    assert np.abs(quick.astype(int) - exact).max() <= 3
    picture = picture_of(encoded(smooth, "JPEG"))
    assert square_of(picture, 32).native_px == 1200
    assert picture.size < (400, 300)


def test_orientation_is_applied():
    picture = Image.new("RGB", (16, 16), "red")
    picture.paste("blue", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 3  # shown upside down
    turned = square(picture, 16, exif=exif)
    assert turned[2, 15, 0] == 255
    assert turned[0, 0, 0] == 255


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_every_mode_of_a_grey_picture_is_the_same_grey(mode):
    if mode == "I;16":
        picture = Image.fromarray(np.full((8, 8), 0xFFFF, np.uint16))
    else:
        picture = Image.new("RGB", (8, 8), "white").convert(mode)
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    assert (square(picture, 8, kind) >= 254).all()


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    np.testing.assert_array_equal(square(Image.fromarray(ramp), 8)[0], ramp >> 8)


def test_twelve_bits_in_sixteen_keep_their_levels():
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 65
    found = square_of(picture_of(encoded(Image.fromarray(ramp))), 8)
    np.testing.assert_array_equal(found.pixels[0], ramp >> 4)
    assert found.bits == 12


def test_a_pgm_states_its_range():
    for most in (4095, 65535):
        values = (np.arange(64) * (most // 63)).astype(">u2")
        found = square_of(picture_of(b"P5\n8 8\n%d\n" % most + values.tobytes()), 8).pixels[0]
        assert found.max() >= 254
        assert found.min() == 0


def test_transparency_of_sixteen_bit_grey_is_laid_on_white():
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    pixels = square(Image.fromarray(ramp), 8, transparency=1000)[0]
    assert pixels[0, 1] == 255
    assert pixels[0, 2] == 2000 >> 8


def test_only_what_is_decoded_is_limited(monkeypatch):
    monkeypatch.setattr(decoding, "MOST_DECODED_MEGAPIXELS", 1)
    large = Image.new("L", (3200, 2400), "white")
    assert square(large, 32, "JPEG").min() >= 254
    with pytest.raises(ValueError, match="8 megapixels, of which 1"):
        square(large, 32)


def test_pixels_without_a_range_are_refused():
    picture = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    with pytest.raises(ValueError, match="agreed range"):
        square(picture, 8, "TIFF")


def test_transparency_is_laid_on_white():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (square(clear, 8) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert (square(palette, 8, transparency=0) == 255).all()
    assert (square(Image.new("RGB", (8, 8), "black"), 8, transparency=(0, 0, 0)) == 255).all()


@pytest.mark.parametrize(
    "kind", ["JPEG", "MPO", "JPEG2000", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF"]
)
def test_every_format_is_read(kind):
    assert (square(Image.new("RGB", (16, 12), "white"), 12, kind) >= 254).all()


def test_a_moving_picture_gives_its_first_frame():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    first = square(frames[0], 8, "GIF", save_all=True, append_images=frames[1:])
    assert (first == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_a_truncated_picture_is_an_error(kind):
    whole = encoded(Image.fromarray(random_pixels(64, 64, 3)), kind)
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever Pillow raises
        square_of(picture_of(whole[: len(whole) // 2]), 32)


def test_page_descriptions_are_not_opened():
    with pytest.raises(OSError, match="cannot identify"):
        picture_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")


def test_enlarging():
    plain = np.full((3, 4, 4), 77, np.uint8)
    assert (enlarged(plain, 9) == 77).all()
    assert enlarged(plain, 9).shape == (3, 9, 9)
