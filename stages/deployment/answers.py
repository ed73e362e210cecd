"""What a trained model says about pictures, as evaluation would: the same pixels and batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.datasets.decoding import enlarged
from stages.datasets.pixels import Split
from stages.datasets.pool import Collection
from stages.datasets.reading import Image, Unreadable, read_images
from stages.deployment.run_model import RunModel
from stages.tasks import task_of
from stages.training.inference import Evaluator


@dataclass(frozen=True)
class Answer:
    """The most probable classes of a picture with their probabilities in 0…1, best first."""

    name: str
    best: list[tuple[str, float]]


def answers(model: RunModel, pictures: Collection, top: int) -> Iterator[Answer | Unreadable]:
    """An answer for every picture in order, as soon as its batch is done.

    A batch has as many pictures as one of evaluation had, so that the probabilities are the same
    to the bit. Where there are fewer in all the batch is smaller, and last digits may differ.
    """
    batch_size = min(len(pictures.names), model.about.batch_size)
    waiting: list[Image | Unreadable] = []
    for image in read_images(pictures, range(len(pictures.names)), model.about.pictures_px):
        waiting.append(image)
        if sum(isinstance(one, Image) for one in waiting) == batch_size:
            yield from _answered(model, pictures, waiting, batch_size, top)
            waiting = []
    yield from _answered(model, pictures, waiting, batch_size, top)


def _answered(
    model: RunModel,
    pictures: Collection,
    waiting: Sequence[Image | Unreadable],
    batch_size: int,
    top: int,
) -> Iterator[Answer | Unreadable]:
    images = [image for image in waiting if isinstance(image, Image)]
    if images:
        logits = logits_of(model, _stacked(images, model.about.pictures_px), batch_size)
        found = iter(F.softmax(logits.double(), dim=1))
    for image in waiting:
        if isinstance(image, Unreadable):
            yield image
            continue
        shares, order = next(found).sort(descending=True, stable=True)
        best = zip(order[:top].tolist(), shares[:top].tolist(), strict=True)
        name = pictures.names[image.row]
        yield Answer(name, [(model.about.classes[place], share) for place, share in best])


def logits_of(model: RunModel, pixels: NDArray[np.uint8], batch_size: int) -> Tensor:
    """Float32 [n, classes] for stored squares, uint8 [n, 3, s, s]."""
    view = replace(model.trained.view, batch_size=batch_size)
    split = Split(pixels, np.zeros(len(pixels), np.int64), [""] * len(pixels))
    task = task_of(model.about.params())
    evaluator = Evaluator(task, split, view, model.device, 0, "predict")
    return evaluator(model.trained.model).logits[0]


def _stacked(images: Sequence[Image], side: int) -> NDArray[np.uint8]:
    squares = [image.square for image in images]
    return np.stack(
        [one.pixels if one.side == side else enlarged(one.pixels, side) for one in squares]
    )
