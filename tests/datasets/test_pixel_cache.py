"""Packs of decoded pixels are found by contents and size, and never when they are damaged."""

import numpy as np
import pytest

from stages.datasets.pixel_cache import Pack, find_pack, pack_folder, save_pack
from tests.datasets.samples import random_pixels


def pack_of(px: int = 16, images: int = 5, seed: int = 0) -> Pack:
    values = random_pixels(images * 3 * px * px, seed=seed)
    digests = [f"{seed:032x}{image:032x}" for image in range(images)]
    return Pack(digests, np.full(images, px), 16, values)


def test_packs_are_told_apart_by_contents_and_size(tmp_path):
    save_pack(tmp_path, pack_of(px=16, seed=1))
    save_pack(tmp_path, pack_of(px=8, seed=2))
    assert find_pack(tmp_path, pack_of(seed=1).digests[:2], 16) is not None
    assert find_pack(tmp_path, pack_of(seed=1).digests[:2], 99) is not None  # none was reduced
    assert find_pack(tmp_path, pack_of(seed=1).digests[:2], 15) is None
    assert find_pack(tmp_path, pack_of(seed=3).digests[:2], 16) is None


def test_a_reduced_pack_serves_its_own_size_alone(tmp_path):
    pack = Pack(pack_of().digests, np.full(5, 400), 16, pack_of().pixels)
    save_pack(tmp_path, pack)
    assert find_pack(tmp_path, pack.digests, 16) is not None
    assert find_pack(tmp_path, pack.digests, 32) is None


def test_half_a_pack_is_none(tmp_path):
    save_pack(tmp_path, pack_of())
    for file in tmp_path.glob("*.pixels"):
        file.unlink()
    assert find_pack(tmp_path, pack_of().digests, 16) is None


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    save_pack(tmp_path, pack_of())
    (name,) = (file.name for file in tmp_path.glob("*.index"))
    half = tmp_path / f".{name}.77.tmp.index"
    half.write_bytes(b"half")
    assert find_pack(tmp_path, pack_of().digests, 16) is not None
    assert find_pack(tmp_path, pack_of(seed=3).digests, 16) is None
    assert half.exists()


def test_another_pillow_decodes_anew(repository, monkeypatch):
    before = pack_folder("sample")
    monkeypatch.setattr("PIL.__version__", "0.0")
    assert pack_folder("sample") != before


def test_squares_of_several_sizes_lie_end_to_end():
    sides = np.array([4, 8, 2])
    parts = [random_pixels(3, side, side, seed=side) for side in sides]
    flat = np.concatenate([part.ravel() for part in parts])
    pack = Pack([str(side) for side in sides], sides, 8, flat)
    squares = pack.squares(np.array([1, 0, 1]), 8)
    np.testing.assert_array_equal(squares[0], parts[1])
    np.testing.assert_array_equal(squares[2], parts[1])
    assert squares.shape == (3, 3, 8, 8)


def test_the_whole_pack_survives_the_disk(tmp_path):
    pack = pack_of()
    save_pack(tmp_path, pack)
    found = find_pack(tmp_path, pack.digests, 16)
    assert found is not None
    rows = np.array([4, 0, 2])
    np.testing.assert_array_equal(found.squares(rows, 16), pack.squares(rows, 16))
    assert not [path for path in tmp_path.iterdir() if "tmp" in path.name]


@pytest.mark.parametrize("suffix", ["index", "pixels"])
@pytest.mark.parametrize("keep", [None, 0, 100])
def test_a_flipped_bit_or_a_lost_end_makes_it_none_and_is_told(tmp_path, capsys, suffix, keep):
    pack = pack_of()
    save_pack(tmp_path, pack)
    (stored,) = tmp_path.glob(f"*.{suffix}")
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.write_bytes(content[:keep])
    assert find_pack(tmp_path, pack.digests, 16) is None
    assert "are damaged; decoding them anew" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    save_pack(tmp_path, pack)
    assert find_pack(tmp_path, pack.digests, 16) is not None


def test_only_what_is_asked_for_is_verified(tmp_path):
    pack = pack_of()
    save_pack(tmp_path, pack)
    (stored,) = tmp_path.glob("*.pixels")
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1  # in the last of five images
    stored.write_bytes(content)
    assert find_pack(tmp_path, pack.digests[:4], 16) is not None
    assert find_pack(tmp_path, pack.digests[3:], 16) is None
