"""Models that are named with a prefix, which are all of timm and torchvision.

`timm/<id>` is any id of `timm.list_models()`, with or without a tag of trained weights;
`torchvision/<id>` any classification model of torchvision. Such a model is tried once with an image
of the input size, so that one that cannot take it says so before training.
"""

import difflib
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from stages.core.errors import ModelError
from stages.models.builders import (
    FLAT_GRID,
    PYRAMID_GRID,
    PYRAMID_PATCH,
    accepts,
    patch_for,
    refuse_small_stem,
    timm_model,
    torchvision_model,
    window_for,
)
from stages.models.spec import FamilyModel, ModelConfig, ModelSpec

if TYPE_CHECKING:
    from torch import nn

Options = dict[str, Any]


def library_spec(name: str) -> ModelSpec | None:
    """The row of `timm/<id>` or `torchvision/<id>`; None for a name without such a prefix.

    Raises ModelError, with the nearest spellings, when the library has no such model.
    """
    library, _, identifier = name.partition("/")
    if library == "timm":
        px = _timm_native_px(identifier)
        make = partial(_make_any, name=name, native_px=px, attempts=_timm_attempts)
    elif library == "torchvision":
        px = _torchvision_native_px(identifier)
        make = partial(_make_any, name=name, native_px=px, attempts=_torchvision_attempts)
    else:
        return None
    return ModelSpec(name, None, px, f"see {library}", make, library=name)


def library_names() -> list[str]:
    """All names with a prefix that `model` can take."""
    import timm
    from torchvision import models

    return [f"timm/{name}" for name in timm.list_models()] + [
        f"torchvision/{name}" for name in models.list_models(module=models)
    ]


def _make_any(
    request: ModelConfig,
    name: str,
    native_px: int,
    attempts: "Callable[[str, int, int], Iterable[Options]]",
) -> FamilyModel:
    """The first of `attempts` at the constructor's options whose model takes the input."""
    refuse_small_stem(request)
    library, _, identifier = name.partition("/")
    create = timm_model if library == "timm" else torchvision_model
    reason = ""
    for options in attempts(identifier, request.px, native_px):
        try:
            model = create(identifier, request, **options)
            reason = _try_out(model, request)
        except (TypeError, ValueError, AssertionError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if not reason:
            words = ", ".join(f"{key} {value}" for key, value in options.items())
            return FamilyModel(model, request.px, {"options": words} if words else {})
    raise ModelError(
        f"{name} cannot take images of {request.px} px ({reason}). Set `input_size: {native_px}`, "
        "its native size, or choose another model."
    )


def _try_out(model: "nn.Module", request: ModelConfig) -> str:
    """Put one black image through the model; return what is wrong with the answer, if anything."""
    import torch

    with torch.no_grad():
        logits = model.eval()(torch.zeros(1, 3, request.px, request.px))
    model.train()
    if isinstance(logits, torch.Tensor) and logits.shape == (1, request.classes):
        return ""
    return f"it does not answer with one logit for each of {request.classes} classes"


def _timm_attempts(identifier: str, px: int, native_px: int) -> Iterable[Options]:
    """As it is at its native size; else with the size, a patch and a window that fit it."""
    import timm.models

    if px != native_px and timm.models.get_pretrained_cfg_value(identifier, "fixed_input_size"):
        size: Options = {"img_size": px}
        if native_patch := _native_patch(identifier):
            pyramid = native_patch <= PYRAMID_PATCH
            patch = patch_for(px, native_patch, PYRAMID_GRID if pyramid else FLAT_GRID)
            if pyramid:
                yield size | {"patch_size": patch, "window_size": window_for(px // patch)}
            yield size | {"patch_size": patch}
        yield size
    yield {}


def _native_patch(identifier: str) -> int | None:
    """The side of the patches that a timm model cuts images into; None when it does not."""
    import timm
    import torch

    with torch.device("meta"):
        model = timm.create_model(identifier)
    size = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    return int(size[0]) if isinstance(size, tuple) else size


def _torchvision_attempts(identifier: str, px: int, native_px: int) -> Iterable[Options]:
    if px != native_px and accepts(identifier, "image_size"):
        yield {"image_size": px}
    else:
        yield {}


def _timm_native_px(identifier: str) -> int:
    import timm

    base, dot, _ = identifier.partition(".")
    known = timm.list_models()
    if base not in known:
        raise _unknown("timm", identifier, known)
    if dot and identifier not in (tagged := timm.list_models(f"{base}.*", pretrained=True)):
        raise _unknown("timm", identifier, tagged)
    cfg = timm.get_pretrained_cfg(identifier)
    return int(cfg.input_size[-1]) if cfg else 224


def _torchvision_native_px(identifier: str) -> int:
    from torchvision import models

    known = models.list_models(module=models)
    if identifier not in known:
        raise _unknown("torchvision", identifier, known)
    crop = models.get_model_weights(identifier).DEFAULT.transforms().crop_size
    return int(crop[0])


def _unknown(library: str, identifier: str, known: Iterable[str]) -> ModelError:
    nearest = difflib.get_close_matches(identifier, list(known), n=3)
    hint = (
        f"did you mean {' or '.join(f'{library}/{name}' for name in nearest)}? " if nearest else ""
    )
    return ModelError(
        f"`model` is '{library}/{identifier}', but {library} has no such model; {hint}"
        "`python -m stages.models --match TEXT` lists the names that contain TEXT."
    )
