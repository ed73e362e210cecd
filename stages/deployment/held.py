"""Files held against the model in PyTorch, on the run's own test pictures."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stages.datasets.pixels import Split, load_splits
from stages.deployment.answers import logits_of
from stages.deployment.network import Run
from stages.deployment.run_model import RunModel
from stages.measures.profiling.cells import relative_difference
from stages.runs.sources import Source

MOST_PICTURES = 1000
AT_ONCE = 100  # another batch size than that of the example, so that a tied one is noticed


@dataclass(frozen=True)
class Held:
    """How a file answers the test pictures, beside eager PyTorch at fp32.

    Differences are of logits, absolute and as a share of eager's largest; the others are counts
    of pictures.
    """

    pictures: int
    largest_difference: float
    relative_difference: float
    same_top1: int
    correct: int
    correct_eager: int


@dataclass(frozen=True)
class Reference:
    """Test pictures with what they show, and eager logits for them, float32 [n, classes]."""

    test: Split
    logits: Tensor


def pictures_of_run(source: Source, split: str, most: int) -> Split:
    """The first pictures of a run's split, every class in its share, from this machine.

    Raises RunError when the run's list of them is missing, DataError when a picture is.
    """
    from stages.comparison.rerun.rebuilt_engine import images_of, params_of

    params = params_of(source)
    indices, _ = images_of(source)
    whole = load_splits(params.dataset, indices, params.input_size, [split])[split]
    return Split(whole.pixels[:most], whole.labels[:most], whole.names[:most])


def reference_of(model: RunModel, test: Split) -> Reference:
    """Eager PyTorch at fp32, before anything is folded."""
    trained = replace(model.trained, view=replace(model.trained.view, precision="fp32"))
    return Reference(test, logits_of(replace(model, trained=trained), test.pixels, AT_ONCE))


@torch.no_grad()
def hold(run: Run, reference: Reference) -> Held:
    """Put the test pictures through a loaded file."""
    logits = torch.cat([run(batch) for batch in torch.tensor(reference.test.pixels).split(AT_ONCE)])
    labels = torch.from_numpy(reference.test.labels)
    found, eager = logits.argmax(1), reference.logits.argmax(1)
    return Held(
        pictures=len(labels),
        largest_difference=float((logits - reference.logits).abs().max()),
        relative_difference=relative_difference(logits, reference.logits),
        same_top1=int((found == eager).sum()),
        correct=int((found == labels).sum()),
        correct_eager=int((eager == labels).sum()),
    )
