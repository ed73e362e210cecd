"""A trained model as one network from pixels to logits, for files that other programs run.

Its input are pixels as they are decoded, so that nobody can normalise them otherwise: scaling,
resizing to the model's input and normalisation are inside. Always float32, whatever the run's
precision.
"""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.measures.profiling.reparameterize import merge_branches
from stages.measures.profiling.try_measure import Unmeasured
from stages.runs.weights_file import About
from stages.training.images import preprocess
from stages.training.inference import Preprocessing
from stages.training.trained import TrainedModel

Run = Callable[[Tensor], Tensor]
"""Logits [n, classes] for pixels, uint8 [n, 3, s, s]."""


class PixelsToLogits(nn.Module):
    """A network behind its view of images: what `Run` does."""

    def __init__(self, network: nn.Module, view: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.px, self.interpolation = view.px, view.normalization.interpolation
        mean, std = view.normalization.on(torch.device("cpu"))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: Tensor) -> Tensor:
        """Scale, resize, normalise and classify."""
        images = preprocess(
            pixels.float() / 255, self.px, self.get_buffer("mean"), self.get_buffer("std"),
            torch.contiguous_format, self.interpolation,
        )  # fmt: skip
        logits: Tensor = self.network(images)
        return logits


@dataclass(frozen=True)
class Subject:
    """What is written: a trained model, folded in `network`, and `facts` as JSON to go with it.

    `about` is what its weights file says; `calibration` gives training pictures, uint8
    [n, 3, s, s].
    """

    about: About
    trained: TrainedModel
    network: PixelsToLogits
    facts: str
    calibration: Callable[[], NDArray[np.uint8]]

    @property
    def name(self) -> str:
        """The model's."""
        return self.about.model

    @property
    def example(self) -> Tensor:
        """Two black pictures."""
        side = self.about.pictures_px
        return torch.zeros(2, 3, side, side, dtype=torch.uint8)


def subject_of(
    about: About, trained: TrainedModel, calibration: Callable[[], NDArray[np.uint8]]
) -> Subject:
    """A model on the CPU; what trains with branches (RepVGG, MobileOne) has them folded."""
    network = copy.deepcopy(trained.model).cpu().to(memory_format=torch.contiguous_format)
    with suppress(Unmeasured):  # it has none
        network = merge_branches(network)
    whole = PixelsToLogits(network, trained.view).eval()
    return Subject(about, trained, whole, json.dumps(_facts(about)), calibration)


def _facts(about: About) -> dict[str, object]:
    """The weights' own, and what goes in and comes out."""
    side = about.pictures_px
    return {
        **about.model_dump(mode="json"),
        "input": f"pixels: uint8 RGB [batch, 3, {side}, {side}], the centre square of the upright "
        f"picture, brought to {side} px by Pillow's bicubic filter; all else is inside",
        "output": "logits: float32 [batch, classes]; their softmax are the probabilities",
    }
