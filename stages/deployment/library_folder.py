"""Weights as timm or torchvision names them, in a folder with what they are: `config.json`.

timm's is laid out as on the Hugging Face Hub, and `timm.create_model("local-dir:FOLDER")` takes it.
These networks are fed with images that are resized and normalised, as `config.json` says how.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.core.errors import ModelError
from stages.core.files import read_json, write_json
from stages.deployment.network import PixelsToLogits, Run, Subject
from stages.deployment.run_model import RunModel
from stages.models import resolve
from stages.runs.weights_file import ENTRY

CONFIG, WEIGHTS = "config.json", "model.safetensors"
TORCHVISION = "torchvision"
OPTIONS = ("image_size", "aux_logits")  # of torchvision's constructors, as a network knows them


def require_library(model: RunModel) -> None:
    """Raise ModelError for a model that is none of a library's."""
    if not _of_timm(model.trained.model) and not _name_in_torchvision(model.about.model):
        raise ModelError(
            f"{model.about.model} is no model of timm or torchvision, so neither can load its "
            "weights. Export the whole network: --onnx, --exported-program or --torchscript."
        )


def _of_timm(network: nn.Module) -> bool:
    return hasattr(network, "pretrained_cfg")  # as every model that timm made


def _name_in_torchvision(name: str) -> str:
    library, _, identifier = str(resolve(name).library).partition("/")
    return identifier.partition(".")[0] if library == TORCHVISION else ""


def write_library(subject: Subject, folder: Path) -> None:
    """Write the weights of a model that passes `require_library`."""
    trained = subject.trained.model
    model = copy.deepcopy(trained).to(memory_format=torch.contiguous_format)
    if _of_timm(model):
        _write_timm(model, subject, folder)
    else:
        _write_torchvision(model, _name_in_torchvision(subject.name), subject, folder)


def _write_timm(model: nn.Module, subject: Subject, folder: Path) -> None:
    """With the arguments by which timm makes it again, which it noted when it made this one."""
    from timm.models import save_for_hf

    view = subject.trained.view
    shown = {
        "input_size": (3, view.px, view.px), "mean": view.normalization.mean,
        "std": view.normalization.std, "interpolation": view.normalization.interpolation,
        "crop_pct": 1.0, "crop_mode": "center",
    }  # fmt: skip
    told = {"label_names": subject.about.classes, ENTRY: json.loads(subject.facts)}
    save_for_hf(model, str(folder), model_config=told, safe_serialization=True, data_config=shown)


def _write_torchvision(model: nn.Module, name: str, subject: Subject, folder: Path) -> None:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(model.state_dict(), folder / WEIGHTS, metadata={"format": "pt"})
    options = {key: getattr(model, key) for key in OPTIONS if hasattr(model, key)}
    call = {"num_classes": len(subject.about.classes), **options}
    told = {TORCHVISION: name, "model_args": call, ENTRY: json.loads(subject.facts)}
    write_json(folder / CONFIG, told)


def load_library(folder: Path, subject: Subject) -> Run:
    """As the library runs it, behind the run's own view of images.

    Raises RuntimeError when the library's network takes other weights.
    """
    config = read_json(folder / CONFIG)
    network = _torchvision(folder, config) if TORCHVISION in config else _timm(folder)
    return PixelsToLogits(network, subject.trained.view).eval()


def _timm(folder: Path) -> nn.Module:
    import timm

    network: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    return network


def _torchvision(folder: Path, config: dict[str, Any]) -> nn.Module:
    from safetensors.torch import load_file
    from torchvision import models

    network: nn.Module = models.get_model(config[TORCHVISION], **config["model_args"])
    network.load_state_dict(load_file(folder / WEIGHTS))
    return network
