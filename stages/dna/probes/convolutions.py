"""Probes of convolutions, forward and both backwards: oneDNN, cuDNN, MPSGraph and their choices."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from stages.dna.probe import Compute, Probe, gradient

Shape = tuple[int, ...]


def _conv(stride: int = 1, padding: int = 0, groups: int = 1) -> Compute:
    def compute(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(images, weight, bias, stride, padding, groups=groups)

    return compute


def _channels_last(function: Compute) -> Compute:
    def compute(images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layout = torch.channels_last
        return function(
            images.contiguous(memory_format=layout), weight.contiguous(memory_format=layout), bias
        )

    return compute


def _three(name: str, function: Compute, images: Shape, weight: Shape) -> Iterator[Probe]:
    """Forward, gradient of the images, gradient of weight and bias.

    Some of cuDNN's algorithms for the two gradients add atomically:
    https://docs.nvidia.com/deeplearning/cudnn/backend/latest/developer/misc.html (reproducibility)
    """
    shapes = (images, weight, weight[:1])
    yield Probe(name, function, shapes)
    for what, places in (("input", (0,)), ("weight", (1, 2))):
        compute = gradient(function, *places)
        yield Probe(f"{name}_grad_{what}", compute, shapes, adds_atomically=True)


_SAME = _conv(padding=1)

PROBES = [
    *_three("conv3x3", _SAME, (4, 32, 8, 8), (32, 32, 3, 3)),
    *_three("conv3x3_channels_last", _channels_last(_SAME), (4, 32, 8, 8), (32, 32, 3, 3)),
    *_three("conv3x3_stride2", _conv(2, 1), (4, 16, 16, 16), (32, 16, 3, 3)),
    *_three("conv1x1", _conv(), (4, 64, 8, 8), (32, 64, 1, 1)),
    *_three("conv5x5", _conv(), (4, 3, 16, 16), (6, 3, 5, 5)),
    *_three("depthwise", _conv(padding=1, groups=32), (4, 32, 8, 8), (32, 1, 3, 3)),
    *_three("grouped", _conv(padding=1, groups=4), (4, 32, 8, 8), (32, 8, 3, 3)),
    Probe("conv_stem7x7", _conv(2, 3), ((2, 3, 32, 32), (16, 3, 7, 7), (16,))),
    Probe("conv_patches", _conv(4), ((4, 3, 32, 32), (48, 3, 4, 4), (48,))),
]
