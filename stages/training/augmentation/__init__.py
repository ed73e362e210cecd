"""Random changes to training images, in batches, on the device, the same on every machine.

An augmentation is a pair: `draw` turns a random stream into a few integers per image (on the
CPU, for a whole epoch), `apply` changes uint8 images by them (on the device). Integers in,
integers out: up to `as_fractions` every device computes the same pixels, and no step waits for
the device. Draws are fractions in 1/65536, so they do not depend on image size.

`geometric`, `color`, `randaugment` and `mixing` hold the pairs; this file names, draws and chains
them. The order is that of the table below, whatever the order in the parameter file. Leaves
resizing and normalisation to `training.images`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.core import streams
from stages.training.augmentation import color, geometric, mixing, randaugment


@dataclass(frozen=True)
class Augmentation:
    """`draw(source, count)` gives int32 [count, k]; `apply(pixels, drawn)` uint8 [b, 3, s, s]."""

    draw: Callable[[np.random.Philox, int], NDArray[np.int32]]
    apply: Callable[[Tensor, Tensor], Tensor]


AUGMENTATIONS = {
    "crop": Augmentation(geometric.draw_crop, geometric.crop),
    "flip": Augmentation(geometric.draw_flip, geometric.flip),
    "randaugment": Augmentation(randaugment.draw, randaugment.apply),
    "color_jitter": Augmentation(color.draw_jitter, color.jitter),
    "erasing": Augmentation(geometric.draw_erasing, geometric.erase),
}


class Augmenter:
    """The augmentations of one run over a training split of `images` images."""

    def __init__(self, names: Sequence[str], seed: int, images: int, classes: int) -> None:
        self.per_image = {name: AUGMENTATIONS[name] for name in AUGMENTATIONS if name in names}
        self.mixing = [name for name in mixing.KINDS if name in names]
        self.seed, self.images, self.classes = seed, images, classes

    def draw(self, epoch: int, device: torch.device) -> dict[str, Tensor]:
        """All random integers of an epoch, each int32 [images, k], on the device.

        A row belongs to an image's position in the training split; under "mixing" to a step
        (there are never more steps than images). One stream per augmentation: switching one on
        moves no other.
        """
        drawn = {
            name: augmentation.draw(self._stream(name, epoch), self.images)
            for name, augmentation in self.per_image.items()
        }
        if self.mixing:
            drawn["mixing"] = mixing.draw(self._stream("mixing", epoch), self.images, self.mixing)
        return {name: torch.from_numpy(values).to(device) for name, values in drawn.items()}

    def select(self, draws: dict[str, Tensor], rows: Tensor, step: int) -> dict[str, Tensor]:
        """Of an epoch's draws those of one batch: positions `rows` [b] in step `step` of it.

        Each int32 [b, k]; under "mixing", which is of the whole batch, [k].
        """
        return {name: draw[step if name == "mixing" else rows] for name, draw in draws.items()}

    def apply(
        self, pixels: Tensor, labels: Tensor, drawn: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Change uint8 images [b, 3, s, s] as `select` says, all of a batch at a time.

        Returns images, uint8 or int32 (see `as_fractions`), and targets: `labels` [b] as they
        came, or class shares float32 [b, classes] when images are mixed.
        """
        for name, augmentation in self.per_image.items():
            pixels = augmentation.apply(pixels, drawn[name])
        if self.mixing:
            return mixing.mix(pixels, labels, drawn["mixing"], self.classes)
        return pixels, labels

    def _stream(self, name: str, epoch: int) -> np.random.Philox:
        return streams.stream(self.seed, "augment", name, epoch)


def as_fractions(images: Tensor) -> Tensor:
    """Images as `Augmenter.apply` gives them, as float32 in 0…1: 255ths, or mixed of 256 parts."""
    return images.float() * (1 / 255 if images.dtype == torch.uint8 else 1 / (255 * 256))
