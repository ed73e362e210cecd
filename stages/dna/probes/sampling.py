"""Probes of resizing and sampling between pixels."""

from torch import Tensor
from torch.nn import functional as F

from stages.dna.probe import Probe, gradient


def _bilinear(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(13, 13), mode="bilinear", align_corners=False)


def _bicubic(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(13, 13), mode="bicubic", align_corners=False)


def _reduced(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(5, 5), mode="bilinear", align_corners=False, antialias=True)


def _grid_sample(x: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(x, grid, align_corners=False)


_IMAGES = ((2, 3, 16, 16),)

PROBES = [
    Probe("bilinear", _bilinear, _IMAGES),
    Probe("bilinear_grad", gradient(_bilinear, 0), _IMAGES, adds_atomically=True),
    Probe("bilinear_antialias", _reduced, _IMAGES),
    Probe("bicubic", _bicubic, _IMAGES),
    Probe("grid_sample", _grid_sample, ((2, 3, 16, 16), (2, 8, 8, 2))),
]
