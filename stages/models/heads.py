"""Where a model's trunk ends and its class head begins, and which layers the trunk has.

Works on any model of the table, of timm and of torchvision. Leaves what is done with the parts
to `transfer` (loading), `groups` (learning rates, freezing) and the tasks (features).
"""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from stages.core.errors import ModelError

CLASSIFIERS = (nn.Linear, nn.Conv2d)
LAYER_CONTAINERS = (nn.Sequential, nn.ModuleList)
NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


def head_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the modules that turn features into logits, e.g. `("fc",)`; empty without any."""
    named: Any = getattr(model, "pretrained_cfg", {}).get("classifier", ())
    names = (named,) if isinstance(named, str) else tuple(named or ())
    for kind in CLASSIFIERS:  # a convolution ends models without a linear layer (SqueezeNet)
        if not names:
            names = tuple(n for n, m in model.named_modules() if isinstance(m, kind))[-1:]
    return tuple(n for n in names if n in dict(model.named_modules()))


def trunk_of(model: nn.Module) -> tuple[str, nn.Module]:
    """The prefix of the trunk's parameter names, and the trunk: a task's backbone or all of it."""
    backbone = getattr(model, "backbone", None)
    return ("backbone.", backbone) if isinstance(backbone, nn.Module) else ("", model)


def in_head(model: nn.Module) -> "frozenset[str]":
    """Names of the parameters that belong to the head, or to the heads of a task."""
    prefix, trunk = trunk_of(model)
    heads = () if prefix else head_names(trunk)
    return frozenset(
        name
        for name, _ in model.named_parameters()
        if not name.startswith(prefix) or any(name.startswith(f"{head}.") for head in heads)
    )


def layer_numbers(model: nn.Module) -> dict[str, int]:
    """The layer, counted from the input, of every parameter of the trunk.

    timm says how its models are layered; of others every child is a layer, but containers and
    modules with most of the parameters are looked into. Norms belong to the layer before them.
    """
    prefix, trunk = trunk_of(model)
    head = in_head(model)
    matcher: Any = getattr(trunk, "group_matcher", None)
    if matcher:
        from timm.models import group_parameters

        found = group_parameters(trunk, matcher(coarse=False), reverse=True)
    else:
        found = {name: 0 for name, _ in trunk.named_parameters()} | dict(_numbered(trunk))
    numbers = {prefix + name: number for name, number in found.items()}
    kept = sorted({number for name, number in numbers.items() if name not in head})
    return {name: kept.index(number) for name, number in numbers.items() if name not in head}


def _numbered(trunk: nn.Module) -> Iterator[tuple[str, int]]:
    """The layers of all parameters but those of modules that hold layers, which come first."""
    number = 0
    for name, module in _layers(trunk, "", _count(trunk) / 2):
        if _count(module) and not isinstance(module, NORMS):
            number += 1
        for parameter, _ in module.named_parameters(prefix=name):
            yield parameter, number


def _layers(module: nn.Module, prefix: str, most: float) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        whole = not isinstance(child, LAYER_CONTAINERS) and _count(child) <= most
        if whole or not list(child.children()):
            yield prefix + name, child
        else:
            yield from _layers(child, f"{prefix}{name}.", most)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def linear_head(model: nn.Module) -> tuple[str, nn.Linear]:
    """The name of the one linear layer that makes the logits, and the layer.

    Raises ModelError when the model has no such layer, or several.
    """
    names = head_names(model)
    head = model.get_submodule(names[0]) if len(names) == 1 else None
    if not isinstance(head, nn.Linear):
        raise ModelError(
            "This model ends in no single linear layer, whose inputs are the features that "
            "`task: puzzle` and `finetune: probe` or `knn` need. Choose a model of `python -m "
            "stages.models` or of timm."
        )
    return names[0], head


def replace_head(model: nn.Module, name: str, head: nn.Module) -> None:
    """Put another module in the place of the head called `name`."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, head)


def without_head(model: nn.Module) -> tuple[nn.Module, int]:
    """The model with its head taken off, and the width of its pooled features [batch, width]."""
    timm_model: Any = model
    if hasattr(model, "reset_classifier"):
        timm_model.reset_classifier(0)
        return model, int(timm_model.head_hidden_size)
    name, head = linear_head(model)
    replace_head(model, name, nn.Identity())
    return model, head.in_features
