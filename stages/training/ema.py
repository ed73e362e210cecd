"""An exponential moving average of a model's weights and statistics, to validate and keep.

Polyak averaging in PyTorch's batched operations. `torch.optim.swa_utils.AveragedModel` does not
serve here: it rounds index tables and counters down, and on a GPU it waits for the device in every
step.
"""

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """The average of a model that is being trained; `model` is a copy of it, on its device."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.last_decay: float | None = None
        self.model = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights and buffers.

        After n updates the decay is (1 + n) / (10 + n) if that is less, so that a short run does
        not average in its random start (as in TensorFlow's ExponentialMovingAverage). Integers,
        such as counters and index tables, are copied.
        """
        self.last_decay = decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averages, values = _tensors(self.model, fractional=True), _tensors(model, fractional=True)
        torch._foreach_lerp_(averages, values, 1 - decay)
        for average, value in zip(
            _tensors(self.model, fractional=False), _tensors(model, fractional=False), strict=True
        ):
            average.copy_(value)
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """Average and number of updates; tensors are references, not copies."""
        return {"model": self.model.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.updates = state["updates"]


def _tensors(model: nn.Module, fractional: bool) -> list[Tensor]:
    """Parameters and buffers of floating point, or the others."""
    held = chain(model.parameters(), model.buffers())
    return [tensor for tensor in held if tensor.is_floating_point() == fractional]
