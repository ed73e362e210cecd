"""A file held against the model in PyTorch: how both answer the same pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor

from stages.datasets.pixels import Split
from stages.deployment.network import Run
from stages.measures.profiling.cells import relative_difference

AT_ONCE = 100  # another batch size than that of the example, so that a tied one is noticed


@dataclass(frozen=True)
class Held:
    """How a file answers the test pictures, beside PyTorch.

    Differences are of logits, absolute and as a share of PyTorch's largest; the others are counts
    of pictures: `lost` are right in PyTorch alone, `gained` in the file alone.
    """

    pictures: int
    largest_difference: float
    relative_difference: float
    same_top1: int
    correct: int
    correct_eager: int
    lost: int
    gained: int


@dataclass(frozen=True)
class Reference:
    """Test pictures with what they show, and PyTorch's logits for them, float32 [n, classes]."""

    test: Split
    logits: Tensor


@torch.no_grad()
def logits_of_file(run: Run, test: Split) -> Tensor:
    """Logits of a loaded file for the pictures, float32 [n, classes]."""
    return torch.cat([run(batch) for batch in torch.tensor(test.pixels).split(AT_ONCE)])


def hold(logits: Tensor, reference: Reference) -> Held:
    """How the logits of a file are beside PyTorch's."""
    labels = torch.from_numpy(reference.test.labels)
    found, eager = logits.argmax(1), reference.logits.argmax(1)
    right, right_eager = found == labels, eager == labels
    return Held(
        pictures=len(labels),
        largest_difference=float((logits - reference.logits).abs().max()),
        relative_difference=relative_difference(logits, reference.logits),
        same_top1=int((found == eager).sum()),
        correct=int(right.sum()),
        correct_eager=int(right_eager.sum()),
        lost=int((right_eager & ~right).sum()),
        gained=int((right & ~right_eager).sum()),
    )
