"""One step of training as it is timed and as its memory is measured.

Forward, loss, backward and AdamW on one fixed batch, on a model placed as a run places it, by the
optimiser of a run: what a step costs, not what it learns. Leaves the real training to
`stages.training`.
"""

import copy

import torch
from torch import Tensor

from stages.core.device import autocast
from stages.core.sections import Train
from stages.measures.profiling.profiled_model import ProfiledModel
from stages.measures.profiling.timing import Call
from stages.training.fast_kernels import fast_kernels
from stages.training.optimizer import make_optimizer
from stages.training.placement import place_model


def training_step(
    subject: ProfiledModel, batch_size: int, device: torch.device, precision: str = "fp32"
) -> Call:
    """A callable that trains a copy of the subject's model by one step each time.

    Weights stay in fp32; `precision` is that of the arithmetic, as in `train.precision`.
    Raises what PyTorch raises when the batch does not fit or the model does not take it.
    """
    model = place_model(copy.deepcopy(subject.model), subject.memory_format, device).train()
    subject.freeze(model)
    inputs, targets = subject.batch(batch_size)
    inputs = tuple(
        tensor.to(device).contiguous(memory_format=subject.memory_format)
        if tensor.ndim == 4
        else tensor.to(device)
        for tensor in inputs
    )
    targets = (
        targets.to(device) if isinstance(targets, Tensor) else tuple(t.to(device) for t in targets)
    )
    fast = subject.fast_kernels and device.type == "cpu"
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = make_optimizer([{"params": learning}], Train(optimizer="adamw"))

    def step() -> None:
        optimizer.zero_grad()
        with autocast(device, precision), fast_kernels(fast):
            loss = subject.loss(model(*inputs), targets)
        loss.backward()
        optimizer.step()

    return step
