"""Counting MACs and activations: known layers, attention, blocks that add up."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stages.measures.profiling.flops import blocks_of, count_cost
from stages.measures.profiling.params import count_params, size_on_disk_mb


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 8), filters=st.integers(1, 8), px=st.integers(5, 12),
    kernel=st.integers(1, 5), stride=st.integers(1, 3), groups=st.integers(1, 3),
)  # fmt: skip
def test_a_convolution_costs_what_its_definition_says(
    channels: int, filters: int, px: int, kernel: int, stride: int, groups: int
) -> None:
    model = nn.Conv2d(channels * groups, filters * groups, kernel, stride, groups=groups)
    cost = count_cost(model, (torch.empty(1, channels * groups, px, px),))
    out = (px - kernel) // stride + 1
    assert cost.activations == filters * groups * out * out
    assert cost.macs == cost.activations * channels * kernel * kernel


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_fused_attention_is_counted() -> None:
    heads, tokens, width = 3, 10, 4
    cost = count_cost(Attention(), (torch.empty(1, heads, tokens, width),))
    assert cost.macs == 2 * heads * tokens * tokens * width
    assert cost.activations == heads * tokens * (tokens + width)


def test_a_layer_that_has_a_kernel_of_its_own_is_counted() -> None:
    tokens, width, hidden = 10, 8, 16
    layer = nn.TransformerEncoderLayer(width, 2, hidden, batch_first=True).eval()
    cost = count_cost(layer, (torch.empty(1, tokens, width),))
    projections = tokens * width * (4 * width + 2 * hidden)
    assert cost.macs == projections + 2 * tokens * tokens * width
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_recurrent_layer_is_counted() -> None:
    tokens, width, hidden = 5, 6, 8
    cost = count_cost(nn.LSTM(width, hidden).eval(), (torch.empty(tokens, 1, width),))
    assert cost.macs == tokens * 4 * hidden * (width + hidden)
    assert torch.backends.mkldnn.enabled


def test_normalisations_are_counted_apart() -> None:
    model = nn.Sequential(nn.BatchNorm2d(4), nn.LayerNorm(6), nn.GroupNorm(2, 4)).eval()
    cost = count_cost(model, (torch.empty(1, 4, 6, 6),))
    assert (cost.macs, cost.normalization_ops) == (0, (2 + 5 + 5) * 4 * 6 * 6)


def test_blocks_add_up_and_sequences_of_blocks_are_taken_apart() -> None:
    from torchvision.models import resnet18

    model = resnet18(num_classes=10).eval()
    cost = count_cost(model, (torch.empty(1, 3, 64, 64),))
    blocks = cost.blocks.set_index("block")
    assert list(blocks.index[:4]) == ["conv1", "bn1", "layer1.0", "layer1.1"]
    assert blocks.params.sum() == count_params(model)["params_total"]
    assert blocks.macs_g.sum() == pytest.approx(cost.macs / 1e9)
    assert blocks.activations_m.sum() == pytest.approx(cost.activations / 1e6)


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.scale


def test_cost_outside_of_all_blocks_is_the_rest() -> None:
    cost = count_cost(Bare(), (torch.empty(1, 5),))
    assert cost.blocks.to_dict("records") == [
        {"block": "(rest)", "params": 25, "macs_g": 25e-9, "activations_m": 5e-6}
    ]


class Fourier(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(x).real


def test_what_cannot_be_counted_is_named() -> None:
    assert any("fft" in name for name in count_cost(Fourier(), (torch.empty(1, 8, 8),)).uncounted)


def test_counting_leaves_the_model_alone() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_cost(model, (torch.empty(1, 3, 8, 8),))
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_names_of_blocks_lead_to_the_blocks() -> None:
    model = nn.Sequential(nn.Sequential(nn.Sequential(nn.Linear(2, 2)), nn.ReLU()), nn.Linear(2, 2))
    for name, block in blocks_of(model):
        assert model.get_submodule(name) is block


def test_shared_and_frozen_parameters() -> None:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    model = nn.Sequential(first, second, nn.Linear(3, 2)).requires_grad_(False)
    model[2].requires_grad_(True)
    assert count_params(model) == {"params_total": 9 + 8, "params_trainable": 8}
    assert size_on_disk_mb(model) == pytest.approx(4 * 17 / 1e6, abs=5e-4)
