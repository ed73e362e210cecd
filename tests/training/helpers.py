"""What the tests of training share: small pictures with something to learn, and a run on them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from stages.core.params import Params, parse_params
from stages.datasets.pixels import Split
from stages.training.run import Run, training

CLASSES = 4


def split(count: int = 96, px: int = 8, seed: int = 0) -> Split:
    """Images whose brightest quadrant is their class, under noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, count)
    pixels = generator.integers(0, 120, (count, 3, px, px)).astype(np.uint8)
    half = px // 2
    for image, label in zip(pixels, labels, strict=True):
        top, left = divmod(int(label), 2)
        image[:, top * half : (top + 1) * half, left * half : (left + 1) * half] += 100
    return Split(pixels, labels.astype(np.int64), [str(row) for row in range(count)])


def params(model: str = "lenet_small", train: dict[str, Any] | None = None, **more: Any) -> Params:
    """Parameters of a short run."""
    recipe = {"epochs": 2, "batch_size": 16, "lr": 0.003, **(train or {})}
    return parse_params({"model": model, "threads": 1, "train": recipe, **more}, "test")


def run(
    chosen: Params,
    tell: Callable[[str], None] = lambda line: None,
    val: bool = True,
    images: int = 96,
) -> Run:
    """A whole training on the small pictures."""
    splits = {"train": split(images)} | ({"val": split(40, seed=1)} if val else {})
    with training(chosen, splits, CLASSES, {"data": "small"}, tell) as done:
        return done
