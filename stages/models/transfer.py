"""Trained weights put into a model: where they come from, and what is adapted on the way.

`pretrained: true` fetches what the library publishes, `pretrained: PATH` reads a safetensors file
or a torch checkpoint (tensors alone, no code). The class head is never taken over. Position
embeddings, window tables and patch embeddings of another size are resampled with timm's own
helpers. Leaves freezing and learning rates to `groups`.
"""

import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stages.core.errors import ModelError
from stages.core.files import sha256_of_file
from stages.core.paths import WEIGHTS, dvc_root
from stages.models.heads import head_names
from stages.models.hub import published_weights
from stages.models.spec import ModelSpec

State = dict[str, Tensor]

WRAPPERS = ("state_dict", "model", "model_state_dict")
PREFIXES = ("module.", "_orig_mod.", "backbone.")
NAMED_AT_MOST = 4


def trained_weights(spec: ModelSpec, pretrained: bool | str) -> tuple[State, str]:
    """The weights that `pretrained` asks for, by parameter name, and their origin in words.

    Raises ModelError when a file is missing or is no checkpoint, when nobody publishes weights
    for the model, or when they cannot be fetched.
    """
    if isinstance(pretrained, str):
        return _read(pretrained)
    if spec.library is None:
        raise ModelError(
            f"`pretrained` is true, but nobody publishes trained weights for {spec.name}. Give the "
            "path of weights of your own, or set `pretrained: false`."
        )
    return published_weights(spec.library), f"published weights of {spec.library}"


def adopt(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, str]:
    """Load trained weights into all of a model but its class head; return what to note.

    Raises ModelError that names the tensors when some are missing, unknown or of a shape that
    cannot be adapted.
    """
    heads = head_names(model)
    own = model.state_dict()
    state = {k: v for k, v in _resampled(model, weights).items() if not _under(k, heads)}
    expected = {k: v for k, v in own.items() if not _under(k, heads)}
    _check(state, expected)
    model.load_state_dict(state | {k: own[k] for k in own.keys() - state.keys()})
    return _adaptations(weights, {name: state[name] for name in expected if name in state})


def _adaptations(weights: Mapping[str, Tensor], state: State) -> dict[str, str]:
    """What became of the first layer and of every tensor whose shape changed, in words."""
    changed = [
        name for name in state if name in weights and weights[name].shape != state[name].shape
    ]
    first = next((name for name, tensor in state.items() if tensor.ndim == 4), "none")
    notes = {
        "head": "new, for the classes of this data set",
        "first_layer": f"{first} {'resampled' if first in changed else 'taken over as it is'}",
    }
    if changed:
        shapes = [f"{n} {_shape(weights[n])} to {_shape(state[n])}" for n in changed]
        more = len(shapes) - NAMED_AT_MOST
        listed = "; ".join(shapes[:NAMED_AT_MOST])
        notes["resampled"] = listed + (f"; and {more} more" if more > 0 else "")
    return notes


def weights_file(name: str) -> Path:
    """Where `pretrained: NAME` lies, relative to here or to the repository's root.

    Raises ModelError when there is no such file, or when it is the output of the training itself.
    """
    path = next((p for p in (Path(name), dvc_root() / name) if p.is_file()), None)
    if path is None:
        raise ModelError(
            f"`pretrained` is {name}, but there is no such file. Give the path of a safetensors "
            "file or a torch checkpoint, or set `pretrained: true` or `false`."
        )
    if path.resolve() == (dvc_root() / WEIGHTS).resolve():
        raise ModelError(
            f"`pretrained` is {name}, which the train stage itself writes: DVC removes it before "
            "training begins. Copy the weights to another place and name that."
        )
    return path


def _read(name: str) -> tuple[State, str]:
    path = weights_file(name)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # whatever the readers make of bytes that they do not know
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it holds a {foreign[1]}, which is no tensor" if foreign else "it is none, or broken"
        raise _no_checkpoint(path, why) from None
    return _unwrapped(found, path), f"{name} (SHA-256 {sha256_of_file(path)[:12]})"


def _unwrapped(found: Any, path: Path) -> State:
    """The tensors of a checkpoint without the wrapping that trainers put around them."""
    while isinstance(found, dict):
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), dict)), None)
        if inner is None:
            break
        found = inner
    if not isinstance(found, dict):
        raise _no_checkpoint(path, f"it holds a {type(found).__name__}")
    state = {str(k): v for k, v in found.items() if isinstance(v, Tensor)}
    if not state:
        raise _no_checkpoint(path, "it holds no tensors by name")
    for prefix in PREFIXES:
        if any(name.startswith(prefix) for name in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return state


def _no_checkpoint(path: Path, why: str) -> ModelError:
    return ModelError(
        f"`pretrained` is {path}, which cannot be read as weights ({why.partition(chr(10))[0]}). "
        "Give a safetensors file, or a torch checkpoint that holds a state dict and nothing else."
    )


def _resampled(model: nn.Module, weights: Mapping[str, Tensor]) -> State:
    """Weights fitted to the model's patch, window and grid, as timm does for its own."""
    fit = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyTorch's, about how timm indexes
        state: State = dict(fit(dict(weights), model)) if fit else dict(weights)
    for name, module in model.named_modules():
        key = f"{name}.weight"
        if isinstance(module, nn.Conv2d) and module.kernel_size == module.stride and key in state:
            wanted = module.weight.shape
            if state[key].shape[:2] == wanted[:2] and state[key].shape != wanted:
                from timm.layers.patch_embed import resample_patch_embed

                state[key] = resample_patch_embed(state[key], list(wanted[2:]))
    return state


def _check(state: State, expected: Mapping[str, Tensor]) -> None:
    counters = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - state.keys() - counters)
    unknown = sorted(state.keys() - expected.keys())
    unequal = [
        f"{name} is {_shape(state[name])} there and {_shape(expected[name])} here"
        for name in sorted(state.keys() & expected.keys())
        if state[name].shape != expected[name].shape
    ]
    faults = [
        f"{what} {', '.join(names[:NAMED_AT_MOST])}"
        + (f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else "")
        for what, names in (("it lacks", missing), ("it has unknown", unknown), ("", unequal))
        if names
    ]
    if faults:
        raise ModelError(
            f"The weights in `pretrained` do not fit the model: {'; '.join(faults).strip()}. They "
            "must come from the same `model` with the same `stem` (and, where the shapes say so, "
            "the same `input_size`)."
        )


def _under(name: str, modules: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{module}.") for module in modules)


def _shape(tensor: Tensor) -> str:
    return "×".join(str(side) for side in tensor.shape) or "scalar"
