"""What the layers of a network put out for given images, and the filters of its first layer.

Works on any model: convolution maps, token sequences (ViT) and channels-last maps (Swin) all come
out as maps of shape [images, channels, height, width]. Layers are picked by shape when none are
named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.core.errors import ModelError

SHOWN = 5  # layers picked at most
ENOUGH = 4  # layers from which on nothing is looked for inside them
PASSING = (  # modules whose output shows nothing that their input did not
    nn.Identity,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
)
SMALLEST_PX = 6  # smaller maps show a reader nothing


@dataclass(frozen=True)
class LayerActivations:
    """Output of one layer: `maps` float32 [images, channels, height, width].

    `sparsity` is the share of values that are zero or negative: what a ReLU leaves at zero,
    whether the layer ends in one or its function is applied afterwards.
    """

    name: str
    maps: NDArray[np.float32]
    sparsity: float


def capture(
    model: nn.Module, images: Tensor | tuple[Tensor, ...], layers: Sequence[str] | None = None
) -> list[LayerActivations]:
    """Activations of the named layers, or of a few picked from stem to depth, in call order.

    `images` are the model's inputs, normalised, on its device; the mode of the model is kept.
    A layer that runs several times shows its first. Raises ModelError for a layer that does not
    exist or puts out no maps.
    """
    outputs = layer_outputs(model, images if isinstance(images, tuple) else (images,))
    names = picked_layers(model, outputs) if layers is None else list(layers)
    for name in names:
        if name not in outputs:
            raise ModelError(
                f"Layer {name!r} is not in the model or puts out no maps. Layers that do: "
                f"{', '.join(outputs)}."
            )
    return [_measured(name, outputs[name]) for name in names]


def as_maps(output: Tensor) -> Tensor | None:
    """`output` as [images, channels, height, width], or None when it has no place in the image.

    Token sequences [images, tokens, channels] lose leading tokens (class, registers) until a
    square is left.
    """
    if output.ndim == 4:
        height_first = output.shape[1] == output.shape[2] != output.shape[3]
        maps = output.permute(0, 3, 1, 2) if height_first else output
    elif output.ndim == 3:
        side = isqrt(output.shape[1])
        tokens = output[:, output.shape[1] - side * side :]
        maps = tokens.transpose(1, 2).unflatten(2, (side, side))
    else:
        return None
    return maps


def picked_layers(model: nn.Module, outputs: dict[str, Tensor]) -> list[str]:
    """At most five layers from the stem on: whole stages where there are some, else blocks.

    Starts from the parts of the model and looks inside the largest one while they are few.
    """
    names = _parts(model, "", outputs)
    while (largest := _worth_opening(model, names, outputs)) is not None:
        place = names.index(largest)
        names[place : place + 1] = _parts(model, f"{largest}.", outputs)
    large = [name for name in names if _px(outputs[name]) >= SMALLEST_PX]
    kept = large if len(large) >= ENOUGH else [name for name in names if _px(outputs[name]) > 1]
    places = np.linspace(0, len(kept) - 1, min(SHOWN, len(kept))).round().astype(int)
    return [kept[place] for place in places]


def first_filters(model: nn.Module) -> NDArray[np.float32] | None:
    """Weights [filters, 3, height, width] of the first convolution on colours; None without one."""
    for module in model.modules():
        if (
            isinstance(module, nn.Conv2d)
            and module.in_channels == 3
            and module.kernel_size != (1, 1)
        ):
            weights: NDArray[np.float32] = module.weight.detach().float().cpu().numpy()
            return weights
    return None


@torch.no_grad()
def layer_outputs(model: nn.Module, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Maps of every module that puts some out, in the order of completion."""
    found: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> None:
        maps = as_maps(output.detach()) if isinstance(output, Tensor) else None
        if maps is not None and name not in found:
            found[name] = maps.float().cpu()

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in model.named_modules()
        if name
    ]
    was_training = model.training
    try:
        model.eval()(*inputs)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return found


def _parts(model: nn.Module, prefix: str, outputs: dict[str, Tensor]) -> list[str]:
    """Parts of the module at `prefix` that put out maps, in call order.

    A norm, activation or dropout stands for the convolution before it when the shape stays, and
    adds nothing after a stage; pooling is left out.
    """
    kept: list[str] = []
    for name in _children(prefix, outputs):
        module = model.get_submodule(name)
        if isinstance(module, PASSING):
            continue
        repeats = kept and outputs[kept[-1]].shape == outputs[name].shape
        if not (repeats and _is_leaf(module)):
            kept.append(name)
        elif _is_leaf(model.get_submodule(kept[-1])):
            kept[-1] = name
    return kept


def _children(prefix: str, outputs: dict[str, Tensor]) -> list[str]:
    """Direct children that hold maps larger than a pixel; one that puts out none gives its own."""
    found: dict[str, None] = {}
    for name in outputs:
        if name.startswith(prefix) and _px(outputs[name]) > 1:
            child = prefix + name[len(prefix) :].partition(".")[0]
            inner = [child] if child in outputs else _children(f"{child}.", outputs)
            found |= dict.fromkeys(inner)
    return list(found)


def _px(maps: Tensor) -> int:
    return min(maps.shape[2:])


def _is_leaf(module: nn.Module) -> bool:
    """Also a leaf: a norm that holds its own activation (timm's BatchNormAct2d)."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) or not any(module.children())


def _worth_opening(model: nn.Module, names: list[str], outputs: dict[str, Tensor]) -> str | None:
    """The part with most maps inside, while parts are few or this one is nearly everything."""
    inside = {
        name: sum(other.startswith(f"{name}.") for other in outputs)
        for name in names
        if not _is_leaf(model.get_submodule(name))
    }
    largest = max(inside, key=lambda name: inside[name], default=None)
    if largest is None or inside[largest] == 0 or len(names) >= ENOUGH:
        return None
    few, dominant = len(names) < ENOUGH - 1, 3 * inside[largest] > 2 * sum(inside.values())
    return largest if few or dominant else None


def _measured(name: str, maps: Tensor) -> LayerActivations:
    return LayerActivations(name, maps.numpy(), float((maps <= 0).float().mean()))
