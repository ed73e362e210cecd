"""Convolutions and products whose backward PyTorch makes slowly on a CPU, computed otherwise.

Each function takes and gives what `F.conv2d`, `F.linear` or `Tensor.norm` would, up to rounding.
PyTorch's own are bound here by name, for `F` may have these in their place.
When to call which is told by `training.fast_kernels`.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import conv2d, linear, pad

Pair = tuple[int, int]
NARROW = 16  # channels
FOLD = 64  # pixels of one image, 8x8, as oneDNN's kernels like them


def cut_taps(x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """The part of the kernel that ever meets the image, and its padding; (weight, padding).

    The rest only ever multiplies zeros. Unchanged where the part would need unequal padding.
    """
    cut = _cut(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return (weight, padding) if cut is None else (weight[:, :, *cut[0]], cut[1])


@cache
def _cut(size: Any, taps: Any, *geometry: Pair) -> tuple[tuple[slice, slice], Pair] | None:
    """Which taps to keep, by axis, and the padding that they need; None for all of them."""
    found = [_meeting(*axis) for axis in zip(size, taps, *geometry, strict=True)]
    if all(end - first == count for (first, end, _), count in zip(found, taps, strict=True)):
        return None
    (up, down, high), (left, right, wide) = found
    return (slice(up, down), slice(left, right)), (high, wide)


def _meeting(size: int, taps: int, stride: int, pad: int, gap: int) -> tuple[int, int, int]:
    """First and end of the taps that meet `size` pixels, and the padding that they need."""
    outputs = (size + 2 * pad - gap * (taps - 1) - 1) // stride + 1
    met = [
        tap
        for tap in range(taps)
        if any(0 <= place * stride + tap * gap - pad < size for place in range(outputs))
    ]
    if not met:
        return 0, taps, pad
    first, end = met[0], met[-1] + 1
    left = pad - first * gap
    fits = left >= 0 and (size + 2 * left - gap * (end - first - 1) - 1) // stride + 1 == outputs
    return (first, end, left) if fits else (0, taps, pad)


def product(x: Tensor, weight: Tensor, bias: Tensor | None, axis: int) -> Tensor:
    """x, whose channels [k] lie at `axis`, times weight [n, k] transposed, plus bias [n].

    In float32 it pays to have oneDNN compute it as a 1x1 convolution of 8x8 images.
    """
    y: Tensor = _Product.apply(x, weight, bias, axis)
    return y


class _Product(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, axis: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.axis = axis
        rows = _rows(x, axis)
        if _folds(rows):
            y = _rows(conv2d(_images(rows), weight[:, :, None, None], bias), 1)
        else:
            y = linear(rows, weight, bias)
        return _unrolled(y, x, axis)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        rows, grad_rows = _rows(x, ctx.axis), _rows(gradient, ctx.axis)
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            if _folds(rows):
                kernel = weight[:, :, None, None]
                images, gradients = _images(rows), _images(grad_rows)
                grad_x = _rows(_grads(gradients, images, kernel, (1, 1), (0, 0), 0), 1)
            else:
                grad_x = grad_rows @ weight
            grad_x = _unrolled(grad_x, x, ctx.axis)
        if ctx.needs_input_grad[1]:
            grad_weight = grad_rows.t() @ rows
        if ctx.needs_input_grad[2]:
            grad_bias = grad_rows.sum(0)
        return grad_x, grad_weight, grad_bias, None


def _folds(rows: Tensor) -> bool:
    return rows.dtype == torch.float32 and len(rows) % FOLD == 0 and len(rows) >= 16 * FOLD


def _images(rows: Tensor) -> Tensor:
    """Rows [m, c] as images [m/64, c, 8, 8] in channels-last layout, without a copy."""
    return rows.view(-1, 8, 8, rows.shape[1]).permute(0, 3, 1, 2)


def _rows(x: Tensor, axis: int) -> Tensor:
    """All places of x, with its channels, which lie at `axis`, as [places, channels]."""
    moved = x.movedim(axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def _unrolled(rows: Tensor, like: Tensor, axis: int) -> Tensor:
    """Rows [places, c] in the shape of `like`, but for its channels at `axis`.

    `data` makes it no view, for the layer that follows may change it in place.
    """
    places = like.movedim(axis, -1).shape[:-1]
    return rows.view(*places, -1).movedim(-1, axis).data


def _grads(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, wanted: int,
    groups: int = 1,
) -> Tensor:  # fmt: skip
    """PyTorch's own gradient of a convolution: of x (`wanted` 0) or of the weight (1)."""
    mask = [wanted == 0, wanted == 1, False]
    found: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), groups, mask
    )[wanted]
    return found


def window_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor:
    """A convolution whose weight's gradient is one product of gradients and windows.

    Where so few channels come in that windows would cost more, it is computed in float32.
    """
    y: Tensor = _WindowConvolution.apply(x, weight, bias, stride, padding)
    return y


class _WindowConvolution(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _grads(gradient, x, weight, ctx.stride, ctx.padding, 0)
        if ctx.needs_input_grad[1] and x.shape[1] < NARROW:
            grad_weight = _grads(
                gradient.float(), x.float(), weight.float(), ctx.stride, ctx.padding, 1
            )
        elif ctx.needs_input_grad[1]:
            windows = _windows(x, weight.shape[2:], ctx.stride, ctx.padding)
            taps = (_rows(gradient, 1).t() @ windows).view(len(weight), *weight.shape[2:], -1)
            grad_weight = taps.permute(0, 3, 1, 2)
        if ctx.needs_input_grad[2]:
            grad_bias = gradient.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None, None


def _windows(x: Tensor, taps: torch.Size, stride: Pair, padding: Pair) -> Tensor:
    """What each output pixel sees, [n*oh*ow, kh*kw*c]."""
    (up, left), pixels = padding, x.permute(0, 2, 3, 1)
    padded = pad(pixels, (0, 0, left, left, up, up)) if up or left else pixels
    seen = padded.unfold(1, taps[0], stride[0]).unfold(2, taps[1], stride[1])
    return seen.permute(0, 1, 2, 4, 5, 3).reshape(-1, taps.numel() * x.shape[1])


def depthwise_convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
) -> Tensor:
    """A depthwise convolution whose weight's gradient comes from products of whole maps.

    Per channel, images [h*w, n] times gradients [n, oh*ow] sums over the batch every pair of an
    input and an output pixel; a tap's gradient is the sum of the pairs that it joins.
    """
    y: Tensor = _DepthwiseConvolution.apply(x, weight, bias, stride, padding)
    return y


class _DepthwiseConvolution(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = _grads(gradient, x, weight, ctx.stride, ctx.padding, 0, len(weight))
        if ctx.needs_input_grad[1]:
            joined = _joined(
                x.shape[2:], gradient.shape[2:], weight.shape[2:], ctx.stride, ctx.padding
            )
            pairs = torch.bmm(
                x.contiguous().flatten(2).permute(1, 2, 0),
                gradient.contiguous().flatten(2).permute(1, 0, 2),
            )
            grad_weight = (pairs.flatten(1) @ joined).view_as(weight)
        if ctx.needs_input_grad[2]:
            grad_bias = gradient.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None, None


@cache
def _joined(size: Any, outputs: Any, taps: Any, stride: Pair, padding: Pair) -> Tensor:
    """Ones where a tap joins an input and an output pixel, [h*w*oh*ow, kh*kw]."""
    axes = []
    for axis in (0, 1):
        inputs = torch.arange(size[axis])[:, None, None]
        seen = torch.arange(outputs[axis])[None, :, None] * stride[axis] - padding[axis]
        axes.append((inputs == seen + torch.arange(taps[axis])).float())
    return torch.einsum("aok,bpl->abopkl", *axes).reshape(-1, taps[0] * taps[1])


def euclidean_norm(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The 2-norm over dims, kept: a square, a sum and a root, in float32."""
    y: Tensor = _EuclideanNorm.apply(x, dims)
    return y


class _EuclideanNorm(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        wide = x.float()
        norm = (wide * wide).sum(dims, keepdim=True).sqrt()
        ctx.save_for_backward(x, norm)
        return norm.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, norm = ctx.saved_tensors
        share = torch.where(norm > 0, gradient / norm, 0)
        return x * share.to(x.dtype), None
