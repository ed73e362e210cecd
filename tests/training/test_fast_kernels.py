from math import isfinite
from unittest import mock

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from stages.training.fast_kernels import fast_kernels

PRECISIONS = (torch.float32, torch.bfloat16)


def gradients(function, tensors: list[Tensor], dtype: torch.dtype, fast: bool) -> list[Tensor]:
    """The output and the gradient of each tensor, in float64."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    with fast_kernels(fast), torch.autocast("cpu", torch.bfloat16, enabled=dtype != torch.float32):
        y = function(*leaves)
    slopes = torch.linspace(-1, 1, y.numel()).reshape(y.shape).roll(7, -1)
    found = torch.autograd.grad((y * slopes).sum(), leaves)
    return [y.detach().double(), *(grad.double() for grad in found)]


def errors(function, tensors: list[Tensor], dtype: torch.dtype, fast: bool) -> list[float]:
    """The largest error of each against float64, relative to its size."""
    exact = gradients(function, [tensor.double() for tensor in tensors], torch.float32, False)
    return [
        float((one - true).abs().max() / true.abs().max().clamp(min=1e-9))
        for one, true in zip(gradients(function, tensors, dtype, fast), exact, strict=True)
    ]


def assert_as_exact(function, tensors: list[Tensor], dtype: torch.dtype) -> None:
    """Not further from float64 than PyTorch, but for the two roundings that chance decides.

    Where PyTorch's own are not finite, chance alone counts: its gradient in bf16 of a dense 7x7
    weight over one pixel reads memory that nobody wrote, on a Xeon without bf16 instructions.
    """
    chance = 4 * torch.finfo(dtype).eps
    ours, theirs = (errors(function, tensors, dtype, fast) for fast in (True, False))
    allowed = [chance + (2 * other if isfinite(other) else 0) for other in theirs]
    assert all(one <= most for one, most in zip(ours, allowed, strict=True))


def convolution_inputs(
    batch: int, inputs: int, outputs: int, size: int, taps: int, groups: int, bias: bool
) -> list[Tensor]:
    torch.manual_seed(0)
    x = torch.randn(batch, inputs, size, size).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(outputs, inputs // groups, taps, taps)
    return [x, weight, *([torch.randn(outputs)] if bias else [])]


@settings(max_examples=60)
@example(
    kind="depthwise",
    size=9,
    taps=1,
    stride=2,
    padding=0,
    dilation=2,
    channels=4,
    bias=True,
    dtype=torch.float32,
    units=False,
)  # of one tap, whose dilation is none: but the bias' gradient was summed in another order
@given(
    kind=st.sampled_from(["dense", "depthwise", "grouped"]),
    size=st.integers(1, 12),
    taps=st.sampled_from([1, 2, 3, 5, 7]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 4),
    dilation=st.integers(1, 2),
    channels=st.sampled_from([4, 16, 130]),
    bias=st.booleans(),
    dtype=st.sampled_from(PRECISIONS),
    units=st.booleans(),
)
def test_convolutions_are_as_exact_as_pytorchs(
    kind, size, taps, stride, padding, dilation, channels, bias, dtype, units
) -> None:
    assume(size + 2 * padding > dilation * (taps - 1))
    units = mock.patch("stages.training.fast_kernels._has_matrix_units", return_value=units)
    groups = {"dense": 1, "depthwise": channels, "grouped": 2}[kind]
    tensors = convolution_inputs(4, channels, channels, size, taps, groups, bias)

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)

    with units:
        assert_as_exact(convolve, tensors, dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("rows", [1024, 1000])
def test_linear_layers_and_norms_are_as_exact_as_pytorchs(rows: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(4, rows // 4, 192), torch.randn(128, 192), torch.randn(128)
    assert_as_exact(F.linear, [x, weight, bias], dtype)

    def norm(pixels: Tensor) -> Tensor:
        return pixels.norm(p=2, dim=(1, 2), keepdim=True)

    pixels = torch.randn(4, 5, 5, 16)
    pixels[0, :, :, 3] = 0  # whose gradient is zero, not NaN
    assert_as_exact(norm, [pixels], dtype)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_bits_repeat_and_layers_may_change_outputs_in_place(dtype: torch.dtype) -> None:
    for groups, size, taps in [(1, 1, 3), (1, 2, 3), (1, 4, 1), (64, 2, 5), (64, 4, 7)]:
        tensors = convolution_inputs(64, 64, 64, size, taps, groups, True)

        def convolve(*given: Tensor, padding: int = taps // 2, groups: int = groups) -> Tensor:
            return F.conv2d(*given, padding=padding, groups=groups).relu_()

        first, second = (gradients(convolve, tensors, dtype, True) for _ in range(2))
        assert all(map(torch.equal, first, second))


def test_what_is_not_asked_for_is_pytorchs_own() -> None:
    x = torch.randn(2, 32, 4, 4).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(32, 32, 1, 1)
    with fast_kernels(False):
        plain, own = F.conv2d(x, weight), F.conv2d(x.contiguous(), weight)
    never = mock.patch("stages.training.fast_kernels._by_rule", side_effect=AssertionError)
    with fast_kernels(), never:
        assert torch.equal(F.conv2d(x.contiguous(), weight), own)
    with fast_kernels():
        assert torch.equal(x.norm(), torch.linalg.vector_norm(x))
        assert torch.allclose(F.conv2d(x, weight, padding="same"), plain)


def test_pytorchs_own_functions_are_back_after_an_error_and_between_two_contexts() -> None:
    own = F.conv2d, F.linear, Tensor.norm
    with fast_kernels():
        with pytest.raises(RuntimeError), fast_kernels():
            F.linear(torch.ones(2), torch.ones(3, 3))
        assert F.conv2d is not own[0]
    assert (F.conv2d, F.linear, Tensor.norm) == own
