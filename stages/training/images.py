"""From stored uint8 pixels to what a network sees: on the device, resized, normalised.

Covers placement, input size, normalisation and memory format.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.core.device import may_stay, send
from stages.models.spec import DataConfig, Interpolation

COUNTED_AT_ONCE = 1024  # images
SUBSET = "the training images"


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation per channel of images in 0…1, and the filter that resizes them.

    `origin` says whose both are: the subset's, or those of trained weights.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: Interpolation = "bilinear"
    origin: str = SUBSET

    def on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Both as float32 tensors [1, 3, 1, 1]; made once, for making them waits for the device."""
        mean, std = (
            torch.tensor(values, device=device).view(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        return mean, std

    def record(self) -> dict[str, Any]:
        """All of it as it is kept in files; the statistics alone where they are the subset's."""
        values = asdict(self)
        return {k: values[k] for k in ("mean", "std")} if self.origin == SUBSET else values


def normalization_for(
    choice: str, trained: DataConfig | None, pixels: NDArray[np.uint8]
) -> Normalization:
    """What `train.normalization` chooses: that of the `trained` weights, or that of the pixels."""
    if trained is None or choice == "subset":
        return measure_normalization(pixels)
    origin = f"the trained weights ({trained.origin})"
    return Normalization(trained.mean, trained.std, trained.interpolation, origin)


def measure_normalization(pixels: NDArray[np.uint8]) -> Normalization:
    """Channel statistics of uint8 pixels [n, 3, h, w], from exact integer counts.

    The same on every machine: the counts of the 256 values are integers, and the few float64
    steps that follow are correctly rounded. A constant channel gets the standard deviation 1.
    """
    means, deviations = [], []
    values = np.arange(256)
    for channel in range(pixels.shape[1]):
        counts = np.zeros(256, np.int64)
        for start in range(0, len(pixels), COUNTED_AT_ONCE):  # bincount widens bytes to 8 bytes
            part = pixels[start : start + COUNTED_AT_ONCE, channel]
            counts += np.bincount(part.ravel(), minlength=256)
        total = int(counts.sum())
        first, second = int((counts * values).sum()), int((counts * values**2).sum())
        variance = (second * total - first**2) / (total * 255) ** 2
        means.append(first / (total * 255))
        deviations.append(float(np.sqrt(variance)) or 1.0)
    return Normalization(tuple(means), tuple(deviations))


def place_pixels(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pixels as one tensor [n, 3, h, w], on the device if they may stay there.

    Otherwise they stay in host memory and batches are copied one by one.
    """
    tensor = torch.from_numpy(np.require(pixels, requirements="W"))
    return tensor.to(device) if may_stay(tensor.nbytes, device) else tensor


def gather_images(pixels: Tensor, rows: Tensor, host_rows: Tensor) -> Tensor:
    """The uint8 images [b, 3, h, w] at `rows` [b], on the device of `rows`.

    `host_rows` are the same in host memory, for pixels that stay there: to fetch them back would
    wait for the device.
    """
    if pixels.device == rows.device:
        return pixels[rows]
    return send(pixels[host_rows], rows.device)


def preprocess(
    images: Tensor,
    px: int,
    mean: Tensor,
    std: Tensor,
    memory_format: torch.memory_format,
    interpolation: Interpolation = "bilinear",
) -> Tensor:
    """Images [b, 3, h, w] in 0…1 as network input [b, 3, px, px]: resized, then normalised.

    `mean` and `std` come from `Normalization.on`.
    """
    if images.shape[-2:] != (px, px):
        shrinking = min(images.shape[-2:]) > px
        images = F.interpolate(images, (px, px), mode=interpolation, antialias=shrinking)
        if interpolation == "bicubic":  # it overshoots at edges
            images = images.clamp(0, 1)
    return ((images - mean) / std).contiguous(memory_format=memory_format)
