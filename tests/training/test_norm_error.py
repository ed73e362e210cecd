"""How far a norm is from what float64 makes of the same inputs."""

import pytest
import torch
from torch import nn

from stages.training.norm_error import PER_NUMBER, norm_error

DARK = torch.full((8, 4, 64, 64), 0.7).masked_fill(torch.arange(64) > 60, 3.0)


def test_a_sum_of_equal_numbers_one_after_the_other_is_told() -> None:
    norm, calls = nn.BatchNorm2d(4), []
    norm.register_forward_hook(lambda *_: calls.append(1))
    images = DARK.contiguous(memory_format=torch.channels_last)
    output = norm(images)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    own = norm_error(norm, (images,), output)
    assert own is not None
    assert own < 1e-3
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    other = norm_error(norm, (images,), output * (1 + 1e-4))
    assert other == pytest.approx(1e-4, abs=2 * own)
    assert calls == [1]  # that above


@pytest.mark.parametrize("norm", [nn.LayerNorm(64), nn.GroupNorm(2, 4), nn.RMSNorm(64)])
def test_another_computation_is_no_rounding_of_sums(norm: nn.Module) -> None:
    output = norm(DARK)
    assert (norm_error(norm, (DARK,), output) or 0.0) < 1e-6
    summed = 2 * 64 * 64 if isinstance(norm, nn.GroupNorm) else 64
    assert norm_error(norm, (DARK,), output * 1.01) == PER_NUMBER * summed


def test_what_is_no_norm_of_float32_has_none() -> None:
    assert norm_error(nn.GELU(), (DARK,), DARK) is None
    assert norm_error(nn.LayerNorm(64), (DARK,), DARK.bfloat16()) is None
