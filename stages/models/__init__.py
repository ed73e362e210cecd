"""All models by name, and how one is built: table, initial weights, head, adaptation.

`MODELS` is the table of `python -m stages.models`, put together from the files of `families/`;
`timm/<id>` and `torchvision/<id>` stand beside it. Importing this package is cheap; torch, timm
and torchvision load when a model is built.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from stages.core.errors import ModelError
from stages.core.mistakes import unknown_name
from stages.models import families, libraries
from stages.models.spec import Built, ModelSpec, Request

if TYPE_CHECKING:
    from stages.core.params import Params

__all__ = ["MODELS", "Built", "ModelSpec", "build", "parameter_groups", "resolve"]


def _table() -> dict[str, ModelSpec]:
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    modules = [importlib.import_module(f"{families.__name__}.{name}") for name in names]
    return {spec.name: spec for module in modules for spec in module.SPECS}


MODELS: dict[str, ModelSpec] = _table()


def resolve(name: str) -> ModelSpec:
    """The row of a model name; raises ModelError with the nearest spelling."""
    if name in MODELS:
        return MODELS[name]
    raise ModelError(
        unknown_name("model", name, MODELS) + ", or timm/<id>, or torchvision/<id>. "
        "`python -m stages.models` lists them."
    )


def build(params: "Params", classes: int, seed: int | None = None) -> Built:
    """The model of `params.model` for `classes` classes, on the CPU, float32, initialised.

    Weights are drawn from the streams of `seed` (default: `params.seed`), so they are the same
    on every machine. Raises ModelError when the model cannot take the input size, the rates or
    the pretrained weights asked for.
    """
    from stages.models.initialization import portable_randomness

    spec = resolve(params.model)
    request = Request(
        classes=classes,
        px=params.input_size,
        stem=params.stem,
        dropout=params.train.dropout,
        drop_path=params.train.drop_path,
        library_weights=params.pretrained is True,
    )
    with portable_randomness(params.seed if seed is None else seed):
        made = spec.make(request)
    return Built(made.model, made.px, spec.native_px, spec.memory_format, made.notes)


def parameter_groups(built: Built, params: "Params") -> list[dict[str, Any]]:
    """Parameter groups for an optimiser: `params`, `lr`, `weight_decay` and `name` each."""
    weights = [p for p in built.model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in built.model.parameters() if p.requires_grad and p.ndim <= 1]
    recipe = params.train
    return [
        {
            "params": weights,
            "lr": recipe.lr,
            "weight_decay": recipe.weight_decay,
            "name": "weights",
        },
        {"params": others, "lr": recipe.lr, "weight_decay": 0.0, "name": "norms and biases"},
    ]
