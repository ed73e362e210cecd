"""Augmentation: replay, independence of the batch, and each operation against a plain reference."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from stages.core import streams
from stages.training.augmentation import (
    AUGMENTATIONS,
    Augmenter,
    as_fractions,
    color,
    geometric,
    randaugment,
)

CPU = torch.device("cpu")
MIXING = ["mixup", "cutmix"]
ALL = [*AUGMENTATIONS, *MIXING]
settings.register_profile("augmentation", deadline=None, max_examples=20)
settings.load_profile("augmentation")


def images(count: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    """Smooth images with noise, so that contrast, edges and histograms are lifelike."""
    source = np.random.default_rng(seed)
    coarse = source.integers(0, 256, (count, 3, 4, 4)).astype(np.float32)
    fine = torch.nn.functional.interpolate(torch.from_numpy(coarse), (size, size), mode="bilinear")
    noise = torch.from_numpy(source.integers(-20, 21, (count, 3, size, size)))
    return (fine + noise).clamp(0, 255).byte()


def pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def from_pillow(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def changed(
    augmenter: Augmenter,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    step: int = 0,
    epoch: int = 1,
    rows: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in 0…1 and targets of a step; `rows` are the labels unless given."""
    draws = augmenter.draw(epoch, pixels.device)
    drawn = augmenter.select(draws, labels if rows is None else rows, step)
    result, targets = augmenter.apply(pixels, labels, drawn)
    return as_fractions(result), targets


@pytest.mark.parametrize("names", [ALL, *([name] for name in ALL)], ids="-".join)
def test_an_epoch_replayed_alone_is_the_epoch_in_sequence(names: list[str]) -> None:
    pixels, labels, rows = images(8), torch.arange(8), torch.arange(20, 28)
    first, second = (Augmenter(names, 3, 50, 10) for _ in range(2))
    for epoch in (1, 2):
        first.draw(epoch, CPU)
    in_sequence, alone = (changed(each, pixels, labels, 2, 3, rows) for each in (first, second))
    for ours, theirs in zip(in_sequence, alone, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ALL)
def test_epochs_and_seeds_differ(name: str) -> None:
    key = "mixing" if name in MIXING else name
    drawn = [
        Augmenter([name], seed, 50, 10).draw(epoch, CPU)[key]
        for seed, epoch in [(0, 1), (0, 2), (1, 1)]
    ]
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@given(st.permutations(range(12)), st.integers(1, 12))
def test_an_image_does_not_depend_on_its_batch(order: list[int], kept: int) -> None:
    pixels = images(12)
    augmenter = Augmenter(list(AUGMENTATIONS), 0, 12, 10)
    whole, _ = changed(augmenter, pixels, torch.arange(12))
    rows = torch.tensor(order[:kept])
    part, labels = changed(augmenter, pixels[rows], rows)
    assert torch.equal(part, whole[rows])
    assert torch.equal(labels, rows)


def test_nothing_asked_for_changes_nothing() -> None:
    pixels, labels = images(4), torch.arange(4)
    augmenter = Augmenter([], 0, 4, 10)
    result, targets = changed(augmenter, pixels, labels)
    torch.testing.assert_close(result, pixels.float() / 255)
    assert targets is labels


@pytest.mark.parametrize("name", ALL)
def test_switching_one_on_moves_no_other(name: str) -> None:
    alone, together = (
        Augmenter(names, 0, 30, 10).draw(1, CPU) for names in ([name], list(AUGMENTATIONS))
    )
    for key in alone.keys() & together.keys():
        assert torch.equal(alone[key], together[key])


@given(st.integers(8, 40), st.integers(0, 1000))
def test_crop_and_flip_are_those_of_a_plain_loop(size: int, seed: int) -> None:
    pixels = images(5, size)
    corners = geometric.draw_crop(streams.stream(seed, "crop"), 5)
    coins = geometric.draw_flip(streams.stream(seed, "flip"), 5)
    result = geometric.flip(
        geometric.crop(pixels, torch.from_numpy(corners)), torch.from_numpy(coins)
    )
    padding = max(1, size // 8)
    for image, corner, coin, ours in zip(
        pixels.numpy(), corners, coins, result.numpy(), strict=True
    ):
        padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
        top, left = (int(part) * (2 * padding + 1) // 65536 for part in corner)
        expected = padded[:, top : top + size, left : left + size]
        np.testing.assert_array_equal(ours, expected[:, :, ::-1] if coin[0] else expected)


def test_crops_reach_every_offset_and_flips_half_the_images() -> None:
    corners = geometric.draw_crop(streams.stream(0, "crop"), 9000).astype(np.int64) * 9 >> 16
    assert np.bincount(corners[:, 0]).min() > 850
    assert len(np.bincount(corners[:, 1])) == 9
    assert abs(geometric.draw_flip(streams.stream(0, "flip"), 9000).mean() - 0.5) < 0.02


def test_erasing_covers_a_box_of_the_right_area_in_a_quarter_of_the_images() -> None:
    drawn = geometric.draw_erasing(streams.stream(0, "erasing"), 4000)
    pixels = torch.zeros(4000, 3, 32, 32, dtype=torch.uint8)
    covered = geometric.erase(pixels, torch.from_numpy(drawn)) == geometric.GREY
    assert torch.equal(covered[:, 0], covered[:, 2])
    area = covered[:, 0].float().mean((1, 2))
    assert abs(float((area > 0).float().mean()) - geometric.ERASING_PROBABILITY) < 0.03
    assert float(area.max()) < 0.36
    for mask in covered[area > 0, 0][:50]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        assert mask.sum() == len(rows) * len(columns)


@given(st.sampled_from([["mixup"], ["cutmix"], MIXING]), st.integers(0, 40), st.integers(9, 33))
def test_mixed_targets_are_shares_of_the_pixels(names: list[str], step: int, size: int) -> None:
    labels = torch.tensor([0, 1, 2, 2, 3])
    pixels = (labels * 50).byte().view(-1, 1, 1, 1).expand(5, 3, size, size)
    augmenter = Augmenter(names, 0, 50, 4)
    result, targets = changed(augmenter, pixels, labels, step)
    assert result.dtype == targets.dtype == torch.float32
    torch.testing.assert_close(targets.sum(1), torch.ones(5))
    torch.testing.assert_close(targets @ torch.arange(4.0) * 50 / 255, result.mean((1, 2, 3)))


def test_mixing_shares_are_uniform_and_both_kinds_come_up() -> None:
    augmenter = Augmenter(MIXING, 0, 4000, 10)
    drawn = augmenter.draw(1, CPU)["mixing"]
    cutting = drawn[:, 1:].any(1)
    assert abs(float(cutting.float().mean()) - 0.5) < 0.03
    assert abs(float(drawn[~cutting, 0].float().mean()) - 128) < 6


@pytest.mark.parametrize("names", [ALL, MIXING, ["cutmix"]], ids="-".join)
def test_no_step_waits_for_the_device_or_draws_there(names: list[str]) -> None:
    """Tensors on the meta device have no values: whatever needs one on the host raises."""
    meta = torch.device("meta")
    augmenter = Augmenter(names, 0, 50, 10)
    before = torch.get_rng_state()
    result, targets = changed(augmenter, images(6).to(meta), torch.arange(6).to(meta), 1)
    assert result.shape == (6, 3, 32, 32)
    assert targets.shape == (6, 10)
    assert torch.equal(before, torch.get_rng_state())


def test_the_pixels_are_the_same_on_every_machine() -> None:
    """Up to the conversion to float all is integer: one hash holds for every device and version."""
    augmenter = Augmenter(list(AUGMENTATIONS), 0, 64, 10)
    pixels = torch.arange(64 * 3 * 32 * 32).mul(2654435761).bitwise_right_shift(7).byte()
    result, _ = changed(augmenter, pixels.view(64, 3, 32, 32), torch.arange(64))
    digest = hashlib.sha256((result * 255).round().byte().numpy().tobytes()).hexdigest()
    assert digest[:16] == "3824cadbe62f877a"


def randaugmented(name: str, sign: int, pixels: torch.Tensor) -> torch.Tensor:
    neutral = randaugment.OPERATIONS[0, randaugment.NAMES.index("identity")]
    chosen = randaugment.OPERATIONS[int(sign < 0), randaugment.NAMES.index(name)]
    drawn = torch.from_numpy(np.concatenate([chosen, neutral])).expand(len(pixels), -1)
    return randaugment.apply(pixels, drawn)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["identity", *randaugment.BLENDS[1:], *randaugment.TABLES[1:]])
def test_randaugment_changes_values_as_pillow_does(name: str, sign: int) -> None:
    from PIL import ImageEnhance

    factor = 1 + sign * 0.27
    reference = {
        "identity": lambda picture: picture,
        "brightness": lambda picture: ImageEnhance.Brightness(picture).enhance(factor),
        "contrast": lambda picture: ImageEnhance.Contrast(picture).enhance(factor),
        "color": lambda picture: ImageEnhance.Color(picture).enhance(factor),
        "sharpness": lambda picture: ImageEnhance.Sharpness(picture).enhance(factor),
        "posterize": lambda picture: ImageOps.posterize(picture, 7),
        "solarize": lambda picture: ImageOps.solarize(picture, 179),
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
    }[name]
    pixels = images(6)
    ours = randaugmented(name, sign, pixels)
    theirs = torch.stack([from_pillow(reference(pillow(image))) for image in pixels])
    assert int((ours.int() - theirs.int()).abs().max()) <= 1
    assert name == "identity" or not torch.equal(ours, pixels)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", randaugment.MOVES[1:])
def test_randaugment_moves_pixels_as_torchvision_does(name: str, sign: int) -> None:
    from torchvision.transforms.v2 import functional

    angle = float(np.degrees(np.arctan(0.09))) * sign
    moves = {
        "shear_x": {"shear": [angle, 0.0]},
        "shear_y": {"shear": [0.0, angle]},
        "translate_x": {"translate": [-4 * sign, 0]},
        "translate_y": {"translate": [0, -4 * sign]},
        "rotate": {"angle": 9.0 * sign},
    }
    neutral = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    pixels = images(6)
    theirs = functional.affine(pixels, **neutral | moves[name])
    ours = randaugmented(name, sign, pixels)
    assert float((ours == theirs).float().mean()) > 0.98  # positions halfway between two pixels


def test_jitter_is_brightness_contrast_and_saturation_in_turn() -> None:
    from PIL import ImageEnhance

    pixels = images(4)
    drawn = torch.tensor([[256, 256, 256], [358, 256, 256], [256, 154, 256], [154, 300, 358]])
    ours = color.jitter(pixels, drawn.int())
    for image, factors, result in zip(pixels, drawn / 256, ours, strict=True):
        picture = pillow(image)
        for enhance, factor in zip(("Brightness", "Contrast", "Color"), factors, strict=True):
            picture = getattr(ImageEnhance, enhance)(picture).enhance(float(factor))
        # Pillow truncates where we round, and a later factor of 1.4 enlarges the difference.
        assert int((result.int() - from_pillow(picture).int()).abs().max()) <= 4
    assert torch.equal(ours[0], pixels[0])


@given(st.integers(0, 255))
def test_smoothing_divides_exactly_and_keeps_edges(value: int) -> None:
    flat = torch.full((1, 3, 9, 9), value, dtype=torch.uint8)
    assert torch.equal(color.smoothed(flat), flat)
    assert (value * 13 + 6) * 5042 >> 16 == value
    pixels = images(1, 16)
    theirs = from_pillow(pillow(pixels[0]).filter(ImageFilter.SMOOTH))
    assert int((color.smoothed(pixels)[0].int() - theirs.int()).abs().max()) <= 1


def test_every_sum_of_the_smoothing_filter_is_divided_as_by_13() -> None:
    sums = np.arange(0, 13 * 255 + 7)
    np.testing.assert_array_equal(sums * 5042 >> 16, sums // 13)


def test_a_flat_image_survives_every_operation() -> None:
    pixels = torch.full((len(randaugment.NAMES), 3, 16, 16), 90, dtype=torch.uint8)
    drawn = torch.from_numpy(np.concatenate([randaugment.OPERATIONS[0]] * 2, axis=1))
    assert randaugment.apply(pixels, drawn).shape == pixels.shape
