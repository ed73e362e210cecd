"""Activations: the right layers, the right values, and a model left as it was."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from stages import models
from stages.core.errors import ModelError
from stages.core.params import parse_params
from stages.measures.interpretation.activations import as_maps, capture, first_filters


class Small(nn.Module):
    """Two convolutions with ReLU, a pool and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.relu1 = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv2, self.relu2 = nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()
        self.head = nn.Linear(5, 2)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.relu2(self.conv2(self.pool(self.relu1(self.conv1(images)))))
        answer: Tensor = self.head(maps.mean((2, 3)))
        return answer


IMAGES = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def layers_of(name: str, px: int = 32, **other: Any) -> list[str]:
    built = models.build(parse_params({"model": name, "input_size": px, **other}, "test"), 10)
    images = torch.zeros(1, 3, built.model_px, built.model_px)
    return [layer.name for layer in capture(built.model, images)]


def test_values_are_those_of_the_layer() -> None:
    model = Small()
    first, second = capture(model, IMAGES)
    assert (first.name, second.name) == ("relu1", "relu2")
    expected = model.conv1(IMAGES).relu().detach().numpy()
    assert np.array_equal(first.maps, expected)
    assert first.sparsity == pytest.approx(float((expected <= 0).mean()), abs=1e-6)
    assert second.maps.shape == (2, 5, 8, 8)


def test_named_layers_in_the_order_asked_for() -> None:
    found = capture(Small(), IMAGES, ["relu2", "pool", "conv1"])
    assert [layer.name for layer in found] == ["relu2", "pool", "conv1"]


def test_sparsity_before_a_functional_relu_is_that_after_it() -> None:
    before, after = capture(Small(), IMAGES, ["conv1", "relu1"])
    assert before.sparsity == after.sparsity


@pytest.mark.parametrize("name", ["nowhere", "head"])
def test_a_layer_without_maps_is_named_in_the_error(name: str) -> None:
    with pytest.raises(ModelError, match=f"{name}.*relu2"):
        capture(Small(), IMAGES, [name])


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training: bool) -> None:
    model = Small().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    capture(model, IMAGES)
    assert model.training is training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_resnet18_shows_stem_and_three_stages() -> None:
    assert layers_of("resnet18") == ["act1", "layer1", "layer2", "layer3"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet_small", ["relu1", "relu2"]),
        ("vit_2l_2h_128", ["patch_embed", "blocks.0", "blocks.1"]),
        ("swin_tiny", ["patch_embed", "layers.0", "layers.1", "layers.2", "layers.3"]),
        ("shufflenet_v2_x0_5", ["conv1", "stage2", "stage3"]),
    ],
)
def test_layers_are_picked_by_themselves(name: str, expected: list[str]) -> None:
    assert layers_of(name) == expected


@pytest.mark.parametrize("name", ["mobilenet_v3", "repvgg_a0", "timm/mixer_s32_224"])
def test_other_families_show_two_layers_or_more(name: str) -> None:
    picked = layers_of(name, 224 if name.startswith("timm/") else 32)
    assert 2 <= len(picked) <= 5
    assert len(set(picked)) == len(picked)


def test_a_layer_that_runs_twice_shows_its_first() -> None:
    class Twice(Small):
        def forward(self, images: Tensor) -> Tensor:
            super().forward(images)
            return super().forward(torch.zeros_like(images))

    model = Twice()
    assert np.array_equal(
        capture(model, IMAGES)[0].maps, model.conv1(IMAGES).relu().detach().numpy()
    )


@given(st.integers(1, 4), st.integers(2, 7), st.integers(0, 2))
def test_tokens_find_their_places(channels: int, side: int, leading: int) -> None:
    maps = torch.arange(float(channels * side * side)).reshape(1, channels, side, side)
    tokens = maps.flatten(2).transpose(1, 2)
    with_leading = torch.cat([torch.full((1, leading, channels), -1.0), tokens], dim=1)
    found = as_maps(with_leading)
    assert found is not None
    assert torch.equal(found, maps)


def test_channels_last_maps_are_turned() -> None:
    found = as_maps(torch.zeros(2, 7, 7, 96))
    assert found is not None
    assert found.shape == (2, 96, 7, 7)
    assert as_maps(torch.zeros(2, 10)) is None


def test_first_filters_are_those_on_colours() -> None:
    model = Small()
    found = first_filters(model)
    assert found is not None
    assert np.array_equal(found, model.conv1.weight.detach().numpy())
    assert first_filters(nn.Linear(3, 2)) is None
