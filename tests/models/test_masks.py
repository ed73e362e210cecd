"""Masks of dropout and drop path: from the streams, by step, right in their shares."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from stages.core.errors import ModelError
from stages.core.params import parse_params
from stages.models import build
from stages.models.masks import own_draws_only, portable_masks


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


def test_channel_dropout_takes_whole_channels() -> None:
    model = nn.Dropout2d(0.25)
    with portable_masks(model, 0, 1):
        dropped = model(torch.ones(50, 40, 3, 3))
    assert torch.equal(dropped, dropped[:, :, :1, :1].expand_as(dropped))
    assert float((dropped != 0).float().mean()) == pytest.approx(0.75, abs=0.05)
    assert dropped[dropped != 0] == pytest.approx(1 / 0.75)


class Attention(nn.Module):
    """What timm's attention does, and PyTorch's own beside it."""

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.own = nn.MultiheadAttention(8, 2, dropout=drop, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of [b, tokens, 8]."""
        heads = tokens.unflatten(2, (2, 4)).transpose(1, 2)
        rate = self.drop.p if self.training else 0.0
        plain = F.scaled_dot_product_attention(heads, heads, heads, dropout_p=rate)
        weighted, _ = self.own(tokens, tokens, tokens)
        lean, _ = self.own(tokens, tokens, tokens, need_weights=False)
        return torch.stack([plain.transpose(1, 2).flatten(2), weighted, lean])


def test_dropout_within_attention_is_drawn_from_the_streams() -> None:
    model, tokens = Attention(0.3).double(), torch.rand(2, 5, 8, dtype=torch.float64)
    state = torch.get_rng_state()
    with portable_masks(model, 0, 1), own_draws_only(tokens.device):
        first = model(tokens)
        other = model(tokens)
    assert torch.equal(torch.get_rng_state(), state)
    with portable_masks(model, 0, 1):
        assert torch.equal(model(tokens), first)
    assert all((one != another).any() for one, another in zip(first, other, strict=True))
    with portable_masks(model, 0, 1):
        mean = sum(model(tokens) for _ in range(4000)) / 4000
    torch.testing.assert_close(mean, model.eval()(tokens), atol=0.03, rtol=0)


@pytest.mark.parametrize("layer", [nn.RReLU(), nn.AlphaDropout(), nn.FractionalMaxPool2d(2, 3)])
def test_a_draw_that_no_seed_sets_is_refused(layer: nn.Module) -> None:
    images = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
    model = nn.Sequential(nn.Dropout(0.5), layer)
    with (
        pytest.raises(ModelError, match="cannot be repeated"),
        own_draws_only(images.device),
        portable_masks(model, 0, 1),
    ):
        model(images)
    with own_draws_only(images.device):
        nn.Identity()(images)


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
