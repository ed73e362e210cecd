"""One step of training as it is timed and as its memory is measured.

Forward, loss, backward and AdamW in fp32 on one fixed batch: what a step costs, not what it
learns. Leaves the real training to `stages.training`.
"""

import copy

import torch
from torch import Tensor

from stages.measures.subject import Subject
from stages.measures.timing import Call


def training_step(subject: Subject, batch_size: int, device: torch.device) -> Call:
    """A callable that trains a copy of the subject's model by one step each time.

    Raises what PyTorch raises when the batch does not fit or the model does not take it.
    """
    model = copy.deepcopy(subject.model).to(device).train()
    subject.freeze(model)
    inputs, targets = subject.batch(batch_size)
    inputs = tuple(tensor.to(device) for tensor in inputs)
    targets = (
        targets.to(device) if isinstance(targets, Tensor) else tuple(t.to(device) for t in targets)
    )
    optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)

    def step() -> None:
        optimizer.zero_grad()
        subject.loss(model(*inputs), targets).backward()
        optimizer.step()

    return step
