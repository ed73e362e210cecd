"""A placed model computes the same function as before, in the layout that was asked for."""

import pytest
import torch

from stages.core import streams
from stages.core.params import parse_params
from stages.models import build
from stages.training.placement import memory_format_of, place_model

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["vit_2l_2h_128", "deit_small", "swin_tiny"])
def test_plain_attention_agrees_with_the_fused_one(name: str) -> None:
    """In float64, in which rounding is out of sight."""
    params = parse_params({"model": name}, "test")
    built = build(params, 10)
    images = torch.from_numpy(streams.normals(streams.stream(0, "images"), 2 * 3 * 32 * 32))
    images = images.view(2, 3, 32, 32)
    built.model.double()
    with torch.no_grad():
        fused = built.model.eval()(images)
        plain = place_model(built.model, memory_format_of(params, built), CPU)(images)
    assert not any(getattr(module, "fused_attn", False) for module in built.model.modules())
    torch.testing.assert_close(plain, fused, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("asked", "format"),
    [("channels_last", torch.channels_last), ("contiguous", torch.contiguous_format)],
)
def test_the_layout_is_the_one_asked_for(asked: str, format: torch.memory_format) -> None:  # noqa: A002
    params = parse_params({"model": "resnet18", "train": {"memory_format": asked}}, "test")
    built = build(params, 10)
    model = place_model(built.model, memory_format_of(params, built), CPU)
    kernel = next(value for value in model.parameters() if value.ndim == 4 and value.shape[1] > 1)
    assert kernel.is_contiguous(memory_format=format)
