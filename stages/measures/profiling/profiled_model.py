"""What a profile is made of: a model, batches it accepts, and the loss it is trained with.

The other measures take a ProfiledModel or its parts, so they need to know neither tasks nor model
tables.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from stages.core.params import Params

Inputs = tuple[Tensor, ...]


NEIGHBORS = "of a linear head: that of the neighbours holds every training image besides"


@dataclass(frozen=True)
class ProfiledModel:
    """A network on the CPU in fp32 and how to feed it.

    `batch(n)` gives the inputs (the first is [n, 3, input_px, input_px]) and the targets of n
    images; `loss(outputs, targets)` a scalar. `freeze` stops what a training would hold from
    learning, in place; `memory_format` is the layout it would train in,
    `fast_kernels` whether it would use them; `left_out` is what of it is not measured.
    """

    name: str
    model: nn.Module
    input_px: int
    batch: Callable[[int], tuple[Inputs, Any]]
    loss: Callable[[Any, Any], Tensor]
    freeze: Callable[[nn.Module], object] = id
    memory_format: torch.memory_format = torch.contiguous_format
    fast_kernels: bool = False
    left_out: str | None = None


def profiled_model(params: "Params", classes: int) -> ProfiledModel:
    """The network that `params` trains, untrained, fed with noise: costs do not hang on pixels.

    Raises ModelError as building does.
    """
    from stages.models import untrained
    from stages.models.groups import freeze
    from stages.tasks import task_of
    from stages.training.placement import memory_format_of

    task = task_of(params)
    built = task.build(untrained(params), classes)

    def batch(count: int) -> tuple[Inputs, Any]:
        images, labels = noise(count, built.model_px, classes)
        return task.prepare(images, labels, task.draw(params.seed, "profile", 0, count))

    def loss(outputs: Any, targets: Any) -> Tensor:
        return task.loss(outputs, targets, 0.0)

    def hold(model: nn.Module) -> str:
        return freeze(model, params.finetune)

    layout = memory_format_of(params, built)
    return ProfiledModel(
        params.model, built.model.eval(), built.model_px, batch, loss, hold, layout,
        params.train.fast_kernels, NEIGHBORS if params.finetune == "knn" else None,
    )  # fmt: skip


def noise(count: int, px: int, classes: int) -> tuple[Tensor, Tensor]:
    """Standard normal images [count, 3, px, px] and uniform labels [count], always the same."""
    source = torch.Generator().manual_seed(0)
    images = torch.randn(count, 3, px, px, generator=source)
    return images, torch.randint(classes, (count,), generator=source)


def first_tensor(outputs: Any) -> Tensor:
    """The first tensor of a model's output, which may be a tensor, a sequence or a mapping."""
    while not isinstance(outputs, Tensor):
        outputs = next(iter(outputs.values() if isinstance(outputs, dict) else outputs))
    return outputs
