"""Trained weights put into a model: where they come from, and what is adapted on the way.

`pretrained: true` takes what the model's library publishes, from a package where one with it is
installed; `pretrained: PATH` a file. The class head is never taken over, and the new one starts
small: the first loss is then that of a guess, and does not tear the trunk apart.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from stages.core.counts import first_few
from stages.core.errors import ModelError
from stages.core.files import sha256_of_file
from stages.core.paths import shown_path
from stages.models.checkpoints import State, read_checkpoint, weights_file, without_prefixes
from stages.models.data_config import published_config, recorded_config
from stages.models.heads import CLASSIFIERS, head_names
from stages.models.hub import published_weights
from stages.models.packaged import packaged_file
from stages.models.resampling import resampled
from stages.models.spec import DataConfig, ModelSpec

Keys = Literal["name", "order"]

NAMED_AT_MOST = 4
AUXILIARY = re.compile(r"(AuxLogits|aux\d)\.")  # heads of Inception and GoogLeNet
DENSE_LAYER = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")  # DenseNet's, since 2017
LARGEST_LOGIT = 0.1
COUNTER = "num_batches_tracked"  # of batch norms: many checkpoints lack it, and it decides nothing


@dataclass(frozen=True)
class TrainedWeights:
    """Tensors by name, where they come from in words, and how images were shown to them."""

    state: State
    origin: str
    data_config: DataConfig | None


def trained_weights(spec: ModelSpec, pretrained: bool | str) -> TrainedWeights:
    """The weights that `pretrained` asks for.

    Raises ModelError when a file is missing or is no checkpoint, when nobody publishes weights
    for the model, or when they cannot be fetched.
    """
    published = published_config(spec.library) if spec.library else None
    if isinstance(pretrained, str):
        path = weights_file(pretrained)
        state, place = read_checkpoint(path)
        digest = sha256_of_file(path)[:12]
        origin = f"{shown_path(pretrained)}{place and f', {place}'} (SHA-256 {digest})"
        config = recorded_config(path)
        if config is None and published is not None:
            config = replace(published, origin=f"{published.origin}, for the file does not say")
        return TrainedWeights(state, origin, config)
    if spec.library is None:
        raise ModelError(
            f"`pretrained` is true, but nobody publishes trained weights for {spec.name}. Give the "
            "path of weights of your own, or set `pretrained: false`."
        )
    if spec.packaged and (found := packaged_file(spec.packaged)):
        state, _ = read_checkpoint(found)
        if rename := spec.packaged.renamed:
            state = {rename(name): value for name, value in state.items()}
        return TrainedWeights(state, f"package {spec.packaged.package}", published)
    origin = f"published weights of {spec.library}"
    return TrainedWeights(published_weights(spec.library), origin, published)


def adopt(model: nn.Module, weights: State, keys: Keys = "name") -> dict[str, str]:
    """Load trained weights into all of a model but its class head, which becomes small.

    With `keys` "order" the tensors are taken in their order, whatever their names. Returns what
    to note. Raises ModelError that names the tensors when some are missing, unknown or of a shape
    that cannot be adapted.
    """
    heads = head_names(model)
    own = model.state_dict()
    weights = _present_names(without_prefixes(weights, own.keys()), own)
    if keys == "order":
        weights = _in_order(own, weights, heads)
    state = {k: v for k, v in resampled(model, weights).items() if not _under(k, heads)}
    expected = {k: v for k, v in own.items() if not _under(k, heads)}
    _check(state, expected, offer=keys == "name" and not _unlike(own, weights, heads))
    own.update(state)  # beside the tensors it says which version of the model they are for
    model.load_state_dict(own)
    _start_small(model, heads)
    return _adaptations(weights, {name: state[name] for name in expected if name in state})


def _present_names(weights: State, own: State) -> State:
    """Weights under the names of today, without heads that serve training alone (Inception)."""
    renamed = {name: DENSE_LAYER.sub(r"\1\2", name) for name in weights}
    return {
        (new if new in own else name): weights[name]
        for name, new in renamed.items()
        if name in own or not AUXILIARY.match(name)
    }


def _start_small(model: nn.Module, heads: tuple[str, ...]) -> None:
    """Scale the drawn weights of a head so that features of the size of 1 give logits of 0.1.

    Not to zero: Adam, whose steps do not know how small a gradient is, would then move the trunk
    as fast as ever before the head can tell it where. The largest weight decides, for it is the
    same on every machine, which a sum is not.
    """
    for module in (part for name in heads for part in model.get_submodule(name).modules()):
        if isinstance(module, CLASSIFIERS):
            with torch.no_grad():
                largest, width = float(module.weight.abs().max()), module.weight[0].numel()
                limit = LARGEST_LOGIT / math.sqrt(width)
                module.weight *= min(1.0, limit / largest) if largest else 1.0
                if module.bias is not None:
                    module.bias.zero_()


def _in_order(own: State, weights: State, heads: tuple[str, ...]) -> State:
    """The weights under the model's names, one to one. Raises ModelError where they differ."""
    if difference := _unlike(own, weights, heads):
        raise ModelError(
            "`pretrained_keys` is order, but the weights in `pretrained` are not the model's one "
            f"to one: {difference}. They must come from the same architecture; another `model`, "
            "such as timm's or torchvision's form of it, may fit."
        )
    ours, theirs = _paired(own, weights, heads)
    return dict(zip(ours, theirs.values(), strict=True))


def _unlike(own: State, weights: State, heads: tuple[str, ...]) -> str:
    """Where the model's tensors and the weights first differ in order and shape; "" nowhere.

    Heads may be for another number of classes.
    """
    ours, theirs = _paired(own, weights, heads)
    for (name, tensor), (other, value) in zip(ours.items(), theirs.items(), strict=False):
        fits = tensor.shape == value.shape or (
            _under(name, heads) and tensor.shape[1:] == value.shape[1:]
        )
        if not fits:
            return f"{other} is {_shape(value)} where {name} is {_shape(tensor)}"
    if len(ours) != len(theirs):
        return f"there are {len(theirs)} tensors, and the model has {len(ours)}"
    return ""


def _paired(own: State, weights: State, heads: tuple[str, ...]) -> tuple[State, State]:
    """What is taken in order: no counters of batch norms, whatever they are called, and no head
    where the weights are of a trunk alone.
    """
    ours, theirs = (
        {
            name: value
            for name, value in state.items()
            if not name.endswith(COUNTER) and (value.ndim or value.is_floating_point())
        }
        for state in (own, weights)
    )
    trunk = {name: value for name, value in ours.items() if not _under(name, heads)}
    return (trunk if len(theirs) == len(trunk) else ours), theirs


def _adaptations(weights: Mapping[str, Tensor], state: State) -> dict[str, str]:
    """What became of the first layer and of every tensor whose shape changed, in words."""
    changed = [
        name for name in state if name in weights and weights[name].shape != state[name].shape
    ]
    first = next((name for name, tensor in state.items() if tensor.ndim == 4), "none")
    notes = {
        "head": "new, for the classes of this data set; it starts small",
        "first_layer": f"{first} {'resampled' if first in changed else 'taken over as it is'}",
    }
    if changed:
        shapes = [f"{n} {_shape(weights[n])} to {_shape(state[n])}" for n in changed]
        notes["resampled"] = first_few(shapes, NAMED_AT_MOST)
    return notes


def _check(state: State, expected: State, offer: bool) -> None:
    """Raise ModelError unless the tensors are those expected; `offer` to take them by order."""
    counters = {name for name in expected if name.endswith(COUNTER)}
    missing = sorted(expected.keys() - state.keys() - counters)
    unknown = sorted(state.keys() - expected.keys())
    unequal = [
        f"{name} is {_shape(state[name])} there and {_shape(expected[name])} here"
        for name in sorted(state.keys() & expected.keys())
        if state[name].shape != expected[name].shape
    ] + [
        f"{name} is of {str(state[name].dtype).removeprefix('torch.')} there"
        for name in sorted(state.keys() & expected.keys())
        if expected[name].is_floating_point() and not state[name].is_floating_point()
    ]
    faults = [
        f"{what} {first_few(names, NAMED_AT_MOST)}"
        for what, names in (("it lacks", missing), ("it has unknown", unknown), ("", unequal))
        if names
    ]
    if faults:
        raise ModelError(
            f"The weights in `pretrained` do not fit the model: {'; '.join(faults).strip()}. "
            + (OFFER if offer else _advice(state, expected))
        )


OFFER = (
    "In order and shape, however, they are the model's one to one. If they come from the same "
    "architecture, set `pretrained_keys: order`, and see that the results are those of trained "
    "weights: equal shapes do not prove it."
)


def _advice(state: State, expected: State) -> str:
    first = next((name for name, value in expected.items() if value.ndim == 4), "")
    if first in state and state[first].ndim == 4 and state[first].shape[1] == 1:
        return (
            "They were trained on grey images, of one channel; here every image is shown in three. "
            "Choose weights that were trained on colours."
        )
    if first in state and state[first].shape[2:] != expected[first].shape[2:]:
        return (
            "Their first layer is of another form: published weights need `stem: imagenet`, those "
            "that were trained in the CIFAR form `stem: cifar`; for `resnet18` `auto` is cifar "
            "below an `input_size` (`--px` of `study new`) of 64."
        )
    return (
        "They must come from the same `model` with the same `stem` (and, where the shapes say so, "
        "the same `input_size`)."
    )


def _under(name: str, modules: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "scalar"
