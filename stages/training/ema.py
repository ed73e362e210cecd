"""An exponential moving average of a model's weights and statistics, to validate and keep.

Polyak averaging with PyTorch's AveragedModel. Leaves when to update and which model to keep to
`training.loop`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class Ema:
    """The average of a model that is being trained; `model` is on the same device."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._average = AveragedModel(model, multi_avg_fn=self._blend, use_buffers=True)
        self._average.requires_grad_(requires_grad=False)

    @property
    def model(self) -> nn.Module:
        """The averaged model, a copy with the same structure and names."""
        module: nn.Module = self._average.module
        return module

    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's present weights and buffers; the first call copies.

        Early on the decay is (1 + n) / (10 + n) after n updates, if that is less, so that a short
        run does not average in its random start (as in TensorFlow's ExponentialMovingAverage).
        """
        self._average.update_parameters(model)

    @torch.no_grad()
    def _blend(
        self, averages: tuple[Tensor, ...] | list[Tensor], values: Any, _count: Tensor | int
    ) -> None:
        if not averages[0].is_floating_point():  # counters and index tables cannot be averaged
            torch._foreach_copy_(averages, values)
            return
        updates = int(self._average.n_averaged)
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(averages, values, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Average and number of updates; tensors are references, not copies."""
        return self._average.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state that `state_dict` gave."""
        self._average.load_state_dict(state)
