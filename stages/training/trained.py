"""A trained model taken up again from its weights file, with how images are shown to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from stages.core.errors import RunError
from stages.core.params import Params
from stages.models import untrained
from stages.models.initialization import to_be_filled
from stages.models.neighbors import adopt_neighbors
from stages.runs.weights_file import About, read_weights
from stages.tasks import task_of
from stages.training.images import Normalization
from stages.training.inference import Preprocessing
from stages.training.placement import memory_format_of, place_model


@dataclass(frozen=True)
class TrainedModel:
    """A model in evaluation mode on the device, and its view of images."""

    model: torch.nn.Module
    view: Preprocessing
    classes: list[str]


def load_trained(params: Params, path: Path, device: torch.device) -> TrainedModel:
    """Build `params.model` and fill it with the weights of a safetensors file of the train stage.

    Raises RunError when the file is missing, damaged or of another model.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RunError(f"{path} is missing: run `dvc repro train` first.") from None
    about, weights = read_weights(content, str(path))
    return filled(params, about, weights, device, str(path))


def filled(
    params: Params,
    about: About,
    weights: Mapping[str, torch.Tensor],
    device: torch.device,
    where: str,
) -> TrainedModel:
    """Build `params.model` and fill it with what `read_weights` gave.

    Raises RunError, naming `where`, for the weights of another model.
    """
    # Neither the library's weights nor frozen parts matter to a model that is filled here.
    with to_be_filled():
        built = task_of(params).build(untrained(params), len(about.classes))
    adopt_neighbors(built.model, weights, len(about.classes))
    try:
        built.model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(
            f"{where} holds the weights of {about.model}, which do not fit `model` "
            f"{params.model} ({str(error).splitlines()[0]}). Run `dvc repro train`."
        ) from None
    shown = about.normalization
    view = Preprocessing(
        px=built.model_px,
        normalization=Normalization(
            **(shown | {"mean": tuple(shown["mean"]), "std": tuple(shown["std"])})
        ),
        memory_format=memory_format_of(params, built),
        precision=about.precision,
        batch_size=params.evaluate.batch_size,
        fast_kernels=params.train.fast_kernels,
    )
    model = place_model(built.model, view.memory_format, device).eval()
    return TrainedModel(model, view, about.classes)
