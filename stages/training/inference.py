"""A trained model over a whole split, in batches of one fixed size, with nothing random in it.

The batch size is fixed and a last, ragged batch is filled up with repeats: convolution and matrix
kernels are not batch-invariant, so the same image gives the same bits only at the same batch size.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stages.core.device import autocast, send
from stages.datasets.pixels import Split
from stages.tasks import Task
from stages.training.data_trace import checksums, hash_integers
from stages.training.fast_kernels import fast_kernels
from stages.training.images import Normalization, gather_images, place_pixels, preprocess
from stages.training.sketch import sketch_tensors

SKETCHED = 32  # images


@dataclass(frozen=True)
class Preprocessing:
    """How images are shown to a model."""

    px: int
    normalization: Normalization
    memory_format: torch.memory_format
    precision: str
    batch_size: int
    fast_kernels: bool = False


@dataclass(frozen=True)
class Inputs:
    """What a model was shown: how many images, and a hash of their pixels (see `data_trace`).

    `images_sketch` is that of the first images as they enter the model (see `step_trace`), `mean`
    and `std` are those that they were normalised with.
    """

    images: int
    images_hash: str
    images_sketch: list[float]
    mean: list[float]
    std: list[float]


@dataclass(frozen=True)
class Outputs:
    """What a model said about a split, on the CPU, and what it was shown.

    `logits` holds a float32 tensor [n, k] per output of the task, `targets` what was true,
    `correct` bool [n, metrics], `loss` the mean loss.
    """

    logits: tuple[Tensor, ...]
    targets: Tensor
    correct: Tensor
    loss: float
    inputs: Inputs


class Evaluator:
    """A split placed on the device once, and read by as many models as one likes."""

    def __init__(
        self,
        task: Task,
        split: Split,
        view: Preprocessing,
        device: torch.device,
        seed: int,
        purpose: str,
    ) -> None:
        self.task, self.view, self.device = task, view, device
        self.count = len(split.labels)
        self._pixels = place_pixels(split.pixels, device)
        self._labels = torch.from_numpy(np.asarray(split.labels)).to(device)
        self._mean, self._std = view.normalization.on(device)
        draws = task.draw(seed, purpose, 0, self.count)
        self._draws = {name: draw.to(device) for name, draw in draws.items()}
        self._sketch: list[float] = []

    @torch.no_grad()
    def __call__(self, model: torch.nn.Module) -> Outputs:
        """Put every image through `model` in evaluation mode; its training mode is restored."""
        fast = self.view.fast_kernels and self.device.type == "cpu"
        was_training = model.training
        model.eval()
        logits: list[tuple[Tensor, ...]] = []
        targets: list[Tensor] = []
        losses, correct, pixels = [], [], []
        for start in range(0, self.count, self.view.batch_size):
            kept = min(self.view.batch_size, self.count - start)
            rows = torch.arange(start, start + self.view.batch_size).clamp_(max=self.count - 1)
            images, inputs, aims = self.show(rows)
            pixels.append(checksums(images[:kept]))
            if not self._sketch:
                self._sketch = sketch_tensors([self.first_images(rows, inputs)]).tolist()
            with autocast(self.device, self.view.precision), fast_kernels(fast):
                outputs = _first(model(*inputs), kept)
            aims = aims[:kept]
            losses.append(self.task.loss(outputs, aims, 0.0) * kept)
            correct.append(self.task.correct(outputs, aims))
            logits.append(outputs if isinstance(outputs, tuple) else (outputs,))
            targets.append(aims)
        model.train(was_training)
        return Outputs(
            logits=tuple(torch.cat(parts).cpu() for parts in zip(*logits, strict=True)),
            targets=torch.cat(targets).cpu(),
            correct=torch.cat(correct).cpu(),
            loss=float(torch.stack(losses).cpu().double().sum()) / self.count,
            inputs=Inputs(
                images=sum(map(len, pixels)),
                images_hash=hash_integers(torch.cat(pixels).cpu().numpy()),
                images_sketch=self._sketch,
                mean=self._mean.flatten().tolist(),
                std=self._std.flatten().tolist(),
            ),
        )

    def show(self, host_rows: Tensor) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Of the images at rows [b]: stored pixels, what the model is given, and what is true."""
        rows = send(host_rows, self.device)
        pixels = gather_images(self._pixels, rows, host_rows)
        # Divided, where training multiplies (`as_fractions`): a last bit may differ.
        fractions = pixels.float() / 255
        view = self.view
        images = preprocess(
            fractions, view.px, self._mean, self._std, view.memory_format,
            view.normalization.interpolation,
        )  # fmt: skip
        draws = {name: draw[rows] for name, draw in self._draws.items()}
        return pixels, *self.task.prepare(images, self._labels[rows], draws)

    def first_images(self, rows: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """Of the first rows, shown as `inputs`: images [b, c, h, w] as they enter the model."""
        return inputs[0][:SKETCHED]


def _first(outputs: Tensor | tuple[Tensor, ...], count: int) -> Tensor | tuple[Tensor, ...]:
    """The first `count` rows of each output in float32."""
    if isinstance(outputs, tuple):
        return tuple(values[:count].float() for values in outputs)
    return outputs[:count].float()
