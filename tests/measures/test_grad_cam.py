"""Grad-CAM points at the part of the image that a hand-made network looks at."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stages import models
from stages.core.params import parse_params
from stages.measures.interpretation.grad_cam import class_evidence


class Brightness(nn.Module):
    """Class 0 is the mean of the red channel, class 1 that of the green one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.head = nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None])
            self.head.weight.copy_(torch.eye(3)[:2])

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.head(self.conv(images).mean((2, 3)))
        return answer


def images() -> Tensor:
    """Red at the top left, green at the bottom right."""
    image = torch.zeros(2, 3, 8, 8)
    image[:, 0, 1, 2] = 1.0
    image[:, 1, 6, 5] = 1.0
    return image


@pytest.mark.parametrize("training", [True, False])
def test_evidence_lies_where_the_class_is(training: bool) -> None:
    model = Brightness().train(training)
    found = class_evidence(model, images(), [0, 1])
    assert found is not None
    peaks = [np.unravel_index(int(values.argmax()), values.shape) for values in found]
    assert peaks == [(1, 2), (6, 5)]
    assert found.max() == pytest.approx(1.0)
    assert model.training is training


def test_frozen_weights_do_not_matter() -> None:
    model = Brightness().requires_grad_(False)
    with torch.no_grad():
        assert class_evidence(model, images(), [0, 1]) is not None


def test_no_evidence_is_none() -> None:
    assert class_evidence(Brightness(), torch.zeros(2, 3, 8, 8), [0, 1]) is None
    assert class_evidence(nn.Flatten(), torch.zeros(1, 3, 8, 8), [0]) is None


@pytest.mark.parametrize("name", ["lenet_small", "vit_2l_2h_128"])
def test_works_on_convolutions_and_transformers(name: str) -> None:
    built = models.build(parse_params({"model": name}, "test"), 10)
    noise = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = class_evidence(built.model, noise, [3, 4])
    assert found is not None
    assert found.ndim == 3
    assert found.min() >= 0.0
    assert found.max() <= 1.0
