"""Small networks to measure in tests; at module level, so that fresh processes find them."""

import time

import torch
from torch import Tensor, nn

from stages.measures.profiling.profiled_model import Inputs, ProfiledModel, noise

PX, CLASSES = 8, 3


def subject(model: nn.Module, name: str = "tiny", px: int = PX) -> ProfiledModel:
    def batch(count: int) -> tuple[Inputs, Tensor]:
        images, labels = noise(count, px, CLASSES)
        return (images,), labels

    return ProfiledModel(name, model.eval(), px, batch, nn.functional.cross_entropy)


def linear() -> ProfiledModel:
    """Weights [CLASSES, 3·PX·PX] and nothing else, so its memory is known to the byte."""
    return subject(nn.Sequential(nn.Flatten(), nn.Linear(3 * PX * PX, CLASSES, bias=False)))


def convolutional() -> ProfiledModel:
    torch.manual_seed(0)
    return subject(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES),
        )
    )  # fmt: skip


class Killed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        import os
        import signal

        os.kill(os.getpid(), signal.SIGKILL)
        return x


def killed() -> ProfiledModel:
    """As when the system kills a process that asked for too much memory."""
    return subject(Killed())


class Failing(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        raise self.error


def endless() -> ProfiledModel:
    """Say that it is being built, and never be."""
    print("building", flush=True)
    time.sleep(1e6)
    raise AssertionError
