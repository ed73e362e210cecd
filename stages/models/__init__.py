"""All models by name, and how one is built: table, initial weights, head, adaptation.

`MODELS` is the table of `python -m stages.models`, put together from the files of `families/`;
`timm/<id>` and `torchvision/<id>` stand beside it. Importing this package is cheap; torch, timm
and torchvision load when a model is built.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from stages.core.errors import ChangedError, ModelError
from stages.core.validation_messages import unknown_name
from stages.models import families
from stages.models.libraries import library_spec
from stages.models.spec import BuiltModel, ModelConfig, ModelSpec

if TYPE_CHECKING:
    from stages.core.params import Params

__all__ = [
    "MODELS",
    "BuiltModel",
    "ModelSpec",
    "build",
    "native_px",
    "pretrained_sha256",
    "require_recorded_weights",
    "resolve",
    "untrained",
]


def _table() -> dict[str, ModelSpec]:
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    modules = [importlib.import_module(f"{families.__name__}.{name}") for name in names]
    return {spec.name: spec for module in modules for spec in module.SPECS}


MODELS: dict[str, ModelSpec] = _table()


def resolve(name: str) -> ModelSpec:
    """The row of a model name; raises ModelError with the nearest spellings."""
    spec = MODELS.get(name) or library_spec(name)
    if spec is None:
        raise ModelError(
            unknown_name("model", name, MODELS) + ", timm/<id> or torchvision/<id> "
            "(`python -m stages.models --match TEXT` finds names)."
        )
    return spec


def build(params: "Params", classes: int) -> BuiltModel:
    """The model of `params.model` for `classes` classes, on the CPU, float32, initialised.

    New weights are drawn from the streams of `params.seed`, so they are the same on every
    machine; those of `params.pretrained` replace them but for the head, and
    `params.finetune` freezes. Raises ModelError when the model cannot take the input size, the
    rates or the weights asked for.
    """
    from stages.models.groups import freeze
    from stages.models.initialization import initialized
    from stages.models.transfer import adopt, trained_weights

    spec = resolve(params.model)
    request = ModelConfig(
        classes=classes,
        px=params.input_size,
        stem=params.stem,
        dropout=params.train.dropout,
        drop_path=params.train.drop_path,
        library_weights=params.pretrained is True,
    )
    made = initialized(lambda: spec.make(request), params.seed)
    notes = dict(made.notes)
    config = None
    if params.pretrained is not False:
        weights = trained_weights(spec, params.pretrained)
        notes["weights"], config = weights.origin, weights.data_config
        notes |= adopt(made.model, weights.state, params.pretrained_keys)
        if config and config.px and made.px < config.px:
            notes["size"] = f"{made.px} px; the weights were trained at {config.px} px"
        if config is None and params.train.normalization == "weights":
            raise ModelError(
                f"`train.normalization` is weights, but how images were shown to the weights in "
                f"{params.pretrained} is not known. Set it to subset."
            )
    if frozen := freeze(made.model, params.finetune):
        notes["frozen"] = frozen
    return BuiltModel(made.model, made.px, spec.native_px, spec.memory_format, notes, config)


def native_px(model: str, pretrained: bool | str) -> int:
    """The side of the images that a model is made for, or that its trained weights were shown.

    Raises ModelError for an unknown name.
    """
    from stages.models.data_config import published_config

    spec = resolve(model)
    published = published_config(spec.library) if pretrained and spec.library else None
    return (published and published.px) or spec.native_px


def pretrained_sha256(params: "Params") -> str | None:
    """The hash of the file that trained weights come from; None without any, or from a library.

    Raises ModelError as `build` does when the file is missing or is not what it must be.
    """
    from stages.core.files import sha256_of_file
    from stages.models.checkpoints import weights_file
    from stages.models.packaged import packaged_file

    if isinstance(params.pretrained, str):
        return sha256_of_file(weights_file(params.pretrained))
    packaged = resolve(params.model).packaged if params.pretrained else None
    return packaged.sha256 if packaged and packaged_file(packaged) else None


def require_recorded_weights(params: "Params", recorded: str | None) -> None:
    """Raise ChangedError where `pretrained` is no longer the file that the fingerprint recorded.

    A result of it would be recorded, and found again, as one of the weights before.
    """
    if recorded and (present := pretrained_sha256(params)) != recorded:
        raise ChangedError(
            f"The weights in `pretrained` ({params.pretrained}) were replaced since the "
            f"fingerprint was taken: their SHA-256 is {(present or 'none')[:12]}… and was "
            f"{recorded[:12]}…. Nothing was trained; run `dvc repro` again."
        )


def untrained(params: "Params") -> "Params":
    """Parameters of the same architecture with nothing loaded or frozen: to be filled or timed."""
    published = params.pretrained is True and params.stem == "auto"
    return params.model_copy(
        update={
            "pretrained": False,
            "finetune": "full",
            "stem": "imagenet" if published else params.stem,
        }
    )
