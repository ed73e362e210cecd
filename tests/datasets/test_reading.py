"""Broken pictures are all named at once, or skipped; order does not depend on threads."""

import zipfile

import numpy as np
import pytest

from stages.core.errors import DataError
from stages.datasets import reading
from stages.datasets.reading import read_collection
from stages.datasets.sources.image_folder import open_collection
from tests.datasets.samples import image_folder, sha256, write_pictures


@pytest.fixture
def folder(tmp_path):
    return write_pictures(tmp_path / "a", {"cat": 30, "dog": 30})


def read(folder, on_corrupt="stop", px=8, keep_pixels=True):
    collection = open_collection(image_folder(folder))
    rows = range(len(collection.names))
    return read_collection(collection, rows, px, on_corrupt, keep_pixels)


def test_digests_are_those_of_the_files(folder):
    assert read(folder).pack.digests[31] == sha256(folder / "dog/001.png")


def test_without_pixels_all_else_is_known(folder):
    kept, dropped = read(folder).pack, read(folder, keep_pixels=False).pack
    assert dropped.pixels.size == 0
    assert kept.pixels.size == 60 * 3 * 8 * 8
    assert dropped.digests == kept.digests
    np.testing.assert_array_equal(dropped.native_px, kept.native_px)


def test_a_slow_consumer_is_not_run_ahead_of(folder, monkeypatch):
    monkeypatch.setattr(reading, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(reading, "AHEAD", 5)
    begun = []
    images = reading._in_order(lambda row: begun.append(row) or row, range(60))
    for expected, row in enumerate(images):
        assert row == expected
        assert len(begun) <= expected + 1 + 5


def test_threads_give_what_one_gives(folder, monkeypatch):
    alone = read(folder)
    monkeypatch.setattr(reading, "SLOW_SECONDS", 0.0)
    threaded = read(folder)
    assert threaded.pack.digests == alone.pack.digests
    np.testing.assert_array_equal(threaded.pack.pixels, alone.pack.pixels)


def test_every_broken_picture_is_named_once(folder):
    (folder / "cat/003.png").write_bytes(b"")
    (folder / "cat/004.png").write_bytes(b"no picture at all")
    whole = (folder / "dog/005.png").read_bytes()
    (folder / "dog/005.png").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (folder / "dog/006.png").write_bytes(flipped)
    with pytest.raises(DataError) as caught:
        read(folder)
    message = str(caught.value)
    assert message.startswith("4 of 60 images cannot be read")
    for name in ("cat/003.png", "cat/004.png", "dog/005.png", "dog/006.png"):
        assert message.count(name) == 1
    assert "cat/003.png (it is empty)" in message
    assert "cat/004.png (it is no picture of a known format)" in message
    assert message.count("(it is damaged: ") == 2
    assert "Error" not in message
    assert "dataset.on_corrupt: skip" in message
    assert "\n" not in message


def test_a_long_list_is_cut(folder):
    for path in folder.glob("cat/*"):
        path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        read(folder)
    assert str(caught.value).count(".png") == 20
    assert "and 10 more" in str(caught.value)


def test_skipping_leaves_out_and_lists(folder):
    (folder / "cat/003.png").write_bytes(b"")
    result = read(folder, "skip")
    assert len(result.rows) == len(result.pack.digests) == 59
    assert 3 not in result.rows
    assert [image.name for image in result.skipped] == ["cat/003.png"]


def test_skipping_everything_is_an_error(folder):
    for path in folder.glob("*/*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="60 of 60"):
        read(folder, "skip")


def test_a_damaged_byte_in_a_zip_is_found(folder, tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for picture in sorted(folder.glob("*/*")):
            archive.write(picture, picture.relative_to(folder))
        start = archive.getinfo("cat/007.png").header_offset
    content = bytearray(path.read_bytes())
    content[start + 150] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 60 images cannot be read: cat/007\.png"):
        read(path)


def test_a_vanished_file_is_named(folder):
    collection = open_collection(image_folder(folder))
    (folder / "cat/000.png").unlink()
    with pytest.raises(DataError, match=r"cat/000\.png \(it is gone"):
        read_collection(collection, range(60), 8, "stop")


def test_a_name_that_is_no_unicode_is_read_as_latin_1(folder):
    (folder / "cat/000.png").rename(folder / "cat/\udcff.png")
    assert "cat/ÿ.png" in open_collection(image_folder(folder)).names
