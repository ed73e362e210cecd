"""What files are held against: a run's test pictures, and its model's logits in PyTorch."""

from dataclasses import replace

from stages.datasets.pixels import Split, load_splits
from stages.deployment.answers import logits_of
from stages.deployment.held import AT_ONCE, Reference
from stages.deployment.run_model import RunModel
from stages.runs.sources import Source

MOST_PICTURES = 1000


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
