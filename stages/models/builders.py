"""How families build their models from timm and torchvision, and fit them to small inputs."""

import inspect
import sys
from typing import TYPE_CHECKING, Any

from stages.core.errors import ModelError
from stages.models.spec import FamilyModel, ModelConfig

if TYPE_CHECKING:
    from torch import nn

FLAT_GRID = 7  # patches along a side that one-scale transformers need: 224 px in patches of 32
PYRAMID_GRID = 14  # of those that halve the grid three times
PYRAMID_PATCH = 4  # and whose first patches are no larger than this


def make_timm(request: ModelConfig, identifier: str, stem: str) -> FamilyModel:
    """A convolutional timm model, which takes any input size; `stem` names its first layers."""
    model = timm_model(identifier, request)
    return FamilyModel(model, request.px, full_resolution(model.get_submodule(stem), request))


def full_resolution(stem: "nn.Module", request: ModelConfig) -> dict[str, str]:
    """Give the convolutions of a stem stride 1 when the request wants the CIFAR stem.

    Returns what to note. The weights stay as they are.
    """
    from torch import nn

    if request.stem != "cifar":
        return {}
    for module in stem.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)
    return {"stem": "stride 1 instead of 2 (for small images)"}


def timm_model(identifier: str, request: ModelConfig, **options: Any) -> "nn.Module":
    """A timm model with the request's classes and drop rates; `options` go to its constructor.

    Raises ModelError when the model has no drop path and the request wants some, and TypeError
    when it does not know one of `options`.
    """
    import timm

    options |= {"num_classes": request.classes, "drop_rate": request.dropout}
    try:
        model: nn.Module = timm.create_model(
            identifier, drop_path_rate=request.drop_path, **options
        )
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        if request.drop_path:
            raise _cannot("drop_path", request.drop_path, f"timm/{identifier}") from None
        model = timm.create_model(identifier, **options)
    return model


def torchvision_model(identifier: str, request: ModelConfig, **options: Any) -> "nn.Module":
    """A torchvision model with the request's classes and drop rates.

    Raises ModelError when the model has no such rate and the request wants some.
    """
    from torchvision import models

    if accepts(identifier, "dropout"):
        options["dropout"] = request.dropout
    elif request.dropout:
        raise _cannot("dropout", request.dropout, f"torchvision/{identifier}")
    if accepts(identifier, "aux_logits"):
        options |= {"aux_logits": False, "init_weights": True}
    model: nn.Module = models.get_model(identifier, num_classes=request.classes, **options)
    if not _set_drop_path(model, request.drop_path) and request.drop_path:
        raise _cannot("drop_path", request.drop_path, f"torchvision/{identifier}")
    return model


def _set_drop_path(model: "nn.Module", rate: float) -> bool:
    """Scale torchvision's own rates, which grow with depth, so that the last is `rate`.

    Returns whether the model has any: not all of its builders take the rate as an option.
    """
    from torchvision.ops import StochasticDepth

    drops = [module for module in model.modules() if isinstance(module, StochasticDepth)]
    largest = max((drop.p for drop in drops), default=0.0)
    for drop in drops:
        drop.p *= rate / largest if largest else 0.0
    return largest > 0


def refuse_small_stem(request: ModelConfig) -> None:
    """Raise ModelError when the request wants the CIFAR stem of a model that has none."""
    if request.stem == "cifar":
        raise ModelError(
            "`stem` is cifar, but this model has no such form: it is for the convolutional "
            "networks of the table (resnet, mobilenet, efficientnet, convnext, repvgg, mobileone, "
            "shufflenet). Set `stem: auto`."
        )


def patch_for(px: int, native: int, fewest: int = FLAT_GRID) -> int:
    """The native patch if it leaves `fewest` along a side of `px`, else the next power of two."""
    if px >= fewest * native:
        return native
    return 1 << max((px // fewest).bit_length() - 1, 0)


def window_for(grid: int) -> int:
    """A window that divides a grid of patches: 7 as published where it fits, else 4."""
    return 7 if grid % 7 == 0 else 4


def accepts(identifier: str, option: str) -> bool:
    """Whether a torchvision builder hands `option` on to the class of its model."""
    from torchvision import models

    module = sys.modules[models.get_model_builder(identifier).__module__]
    return any(
        option in inspect.signature(member).parameters
        for _, member in inspect.getmembers(module, inspect.isclass)
        if member.__module__ == module.__name__
    )


def _cannot(key: str, value: float, model: str) -> ModelError:
    return ModelError(
        f"`train.{key}` is {value:g}, but {model} has no such option. Set it to 0, or choose "
        "another model."
    )
