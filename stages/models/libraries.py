"""Models of timm and torchvision: the doors through which families build, and `timm/`, `torchvision/`.

`timm/<id>` is any id of `timm.list_models()`, with or without a tag of weights; `torchvision/<id>`
any classification model of `torchvision.models.list_models()`. Leaves what a family does to its
own models (stems, patches) to the family.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from stages.core.errors import ModelError
from stages.core.mistakes import nearest_name
from stages.models.spec import Made, ModelSpec, Request

if TYPE_CHECKING:
    from torch import nn


def make_timm(request: Request, identifier: str) -> Made:
    """A timm model that takes any input size as it is."""
    return Made(timm_model(identifier, request), request.px)


def make_torchvision(request: Request, identifier: str) -> Made:
    """A torchvision model that takes any input size as it is."""
    return Made(torchvision_model(identifier, request), request.px)


def timm_model(identifier: str, request: Request, **kwargs: Any) -> "nn.Module":
    """A timm model with the request's classes and drop rates; `kwargs` go to its constructor.

    Raises ModelError when the model has no drop path and the request wants some, or when the
    library's weights cannot be had. Raises TypeError when it does not know one of `kwargs`.
    """
    import timm

    options = dict(kwargs, num_classes=request.classes, drop_rate=request.dropout)
    create = partial(timm.create_model, identifier, pretrained=request.library_weights)
    try:
        model: nn.Module = create(drop_path_rate=request.drop_path, **options)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        if request.drop_path:
            raise _cannot("drop_path", request.drop_path, f"timm/{identifier}") from None
        model = create(**options)
    return model


def torchvision_model(identifier: str, request: Request, **kwargs: Any) -> "nn.Module":
    """A torchvision model with the request's classes and drop rates."""
    from torchvision import models

    for option, key, value in (
        ("dropout", "dropout", request.dropout),
        ("stochastic_depth_prob", "drop_path", request.drop_path),
    ):
        if _accepts(models.get_model_builder(identifier), option):
            kwargs[option] = value
        elif value:
            raise _cannot(key, value, f"torchvision/{identifier}")
    model: nn.Module = models.get_model(identifier, num_classes=request.classes, **kwargs)
    return model


def _accepts(function: Callable[..., Any], option: str) -> bool:
    """Whether a torchvision builder hands `option` on to its model's class."""
    import inspect
    import sys

    module = sys.modules[function.__module__]
    classes = [
        member for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == module.__name__
    ]  # fmt: skip
    return any(option in inspect.signature(member).parameters for member in classes)


def _cannot(key: str, value: float, model: str) -> ModelError:
    return ModelError(
        f"`train.{key}` is {value:g}, but {model} has no such option. Set it to 0, or choose "
        "another model."
    )
