"""Masks of dropout and drop path: from the streams, by step, right in their shares."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.core.params import parse_params
from stages.models import build
from stages.models.masks import portable_masks


def built(model: str = "vit_2l_2h_128", dropout: float = 0.2, drop_path: float = 0.3) -> nn.Module:
    train = {"dropout": dropout, "drop_path": drop_path}
    return build(parse_params({"model": model, "train": train}, "test"), 10).model


def answer(model: nn.Module, seed: int, step: int) -> torch.Tensor:
    """In float64, in which rounding is out of sight."""
    images = torch.linspace(-1, 1, 4 * 3 * 32 * 32, dtype=torch.float64).view(4, 3, 32, 32)
    with portable_masks(model, seed, step):
        return model.double().train()(images).detach()


@pytest.mark.parametrize("name", ["vit_2l_2h_128", "torchvision/efficientnet_b0", "lenet_small"])
def test_a_step_has_its_masks_whatever_was_drawn_before(name: str) -> None:
    model = built(name, drop_path=0.0 if "lenet" in name else 0.3)
    first = answer(model, 0, 5)
    torch.rand(3)
    answer(model, 0, 6)
    state = torch.get_rng_state()
    torch.testing.assert_close(answer(model, 0, 5), first, rtol=1e-9, atol=1e-9)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.allclose(answer(model, 0, 6), first)
    assert not torch.allclose(answer(model, 1, 5), first)


def test_a_model_that_drops_nothing_is_left_alone() -> None:
    assert isinstance(portable_masks(built(dropout=0.0, drop_path=0.0), 0, 0), nullcontext)


@given(p=st.floats(0.01, 0.95), inplace=st.booleans())
def test_dropout_keeps_its_share_and_its_mean(p: float, inplace: bool) -> None:
    model = nn.Dropout(p, inplace)
    with portable_masks(model, 0, 1):
        dropped = model(torch.ones(100, 200))
    kept = dropped != 0
    assert float(kept.float().mean()) == pytest.approx(1 - p, abs=0.02)
    assert dropped[kept] == pytest.approx(1 / (1 - p))
    assert torch.equal(model.eval()(torch.ones(3)), torch.ones(3))


def test_parts_of_a_step_have_their_own_masks() -> None:
    model = nn.Dropout(0.5)
    parts = []
    for part in (0, 1):
        with portable_masks(model, 0, 1, part):
            parts.append(model(torch.ones(1000)))
    assert not torch.equal(*parts)


def test_masks_are_the_same_in_half_precision() -> None:
    model = nn.Dropout(0.5)
    masks = []
    for dtype in (torch.float32, torch.bfloat16):
        with portable_masks(model, 0, 1):
            masks.append(model(torch.ones(1000, dtype=dtype)) != 0)
    assert torch.equal(*masks)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_masks_reach_a_gpu_without_waiting_for_it() -> None:
    model = nn.Dropout(0.5)
    images = torch.ones(1000)
    with portable_masks(model, 0, 1):
        expected = [model(images), torch.empty(100).bernoulli_(0.3)]
    placed, empty = images.cuda(), torch.empty(100, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        with portable_masks(model, 0, 1):
            found = [model(placed), empty.bernoulli_(0.3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(torch.equal(one.cpu(), other) for one, other in zip(found, expected, strict=True))
