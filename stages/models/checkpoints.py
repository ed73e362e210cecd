"""A file of trained weights read into tensors by name, whoever wrote it, and no code of it run.

Takes safetensors files and torch checkpoints, with the wrapping that timm's and torchvision's
training scripts, Lightning, DataParallel and `torch.compile` put around the weights. Leaves
fitting the tensors to a model to `transfer`.
"""

import re
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PosixPath
from typing import Any

import torch
from torch import Tensor

from stages.core.errors import STORAGE_ERRORS, ModelError
from stages.core.paths import WEIGHTS, dvc_root

State = dict[str, Tensor]

AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict")  # taken first: better, and meant to be
WRAPPERS = (*AVERAGED, "state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.")
# What training scripts keep beside the weights: holders of plain values.
SETTINGS: list[Any] = [Namespace, PosixPath]


def _why_none(name: str) -> str:
    return "that is a folder" if Path(name).is_dir() else "there is no such file"


def weights_file(name: str) -> Path:
    """Where `pretrained: NAME` lies, relative to here or to the repository's root.

    Raises ModelError when there is no such file, or when it is the output of the training itself.
    """
    path = next((p for p in (Path(name), dvc_root() / name) if p.is_file()), None)
    if path is None:
        raise ModelError(
            f"`pretrained` is {name}, but {_why_none(name)}. Give the path of a safetensors "
            "file or a torch checkpoint, or set `pretrained: true` or `false`."
        )
    if path.resolve() == (dvc_root() / WEIGHTS).resolve():
        raise ModelError(
            f"`pretrained` is {name}, which the train stage itself writes: DVC removes it before "
            "training begins. Copy the weights to another place and name that."
        )
    return path


def read_checkpoint(path: Path) -> tuple[State, str]:
    """The tensors of a file by name, as float32 where they are floats, and where in it they lay.

    Raises ModelError for what is no checkpoint, is damaged, or would run code.
    """
    path.open("rb").close()  # what the system refuses is told as such, not as a damaged file
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            # What torch warns of (an old protocol, another form) is told, if it matters, below.
            with torch.serialization.safe_globals(SETTINGS), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the readers make of bytes that they do not know
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            raise
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        why = f"it holds a {foreign[1]}, which is no tensor" if foreign else "it is none, or broken"
        raise _no_checkpoint(path, why) from None
    state, taken = _unwrapped(found, path)
    if _is_damaged(path):
        raise _no_checkpoint(path, "it is damaged: its records do not have their CRC")
    for name, value in state.items():
        if why := _unfit(value):
            raise _no_checkpoint(path, f"{name} {why}")
    return state, taken


def _is_damaged(path: Path) -> bool:
    """Whether records of a checkpoint do not have their CRC, which PyTorch does not look at.

    Where none has it, the file was written without (`torch.serialization.set_crc32_options`).
    """
    if path.suffix == ".safetensors" or not zipfile.is_zipfile(path):
        return False
    whole = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                with suppress(zipfile.BadZipFile):
                    archive.read(info)  # which checks
                    whole.append(info)
            return 0 < len(whole) < len(archive.infolist())
    except Exception:  # whatever it makes of a damaged list of records
        return True


def _unfit(value: Tensor) -> str:
    """Why a tensor cannot be a trained weight; empty where it can."""
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return "is sparse, quantised or without values"
    if value.is_complex():
        return "is complex"
    if value.is_floating_point() and not value.isfinite().all():
        return "has values that are not finite"
    return ""


def _unwrapped(found: Any, path: Path) -> tuple[State, str]:
    taken: list[str] = []
    while isinstance(found, dict):
        key = next((key for key in WRAPPERS if isinstance(found.get(key), dict)), None)
        if key is None:
            break
        taken.append(key)
        found = found[key]
    if not isinstance(found, dict):
        raise _no_checkpoint(path, f"it holds a {type(found).__name__}")
    state = {
        str(name): value.float() if value.is_floating_point() and not value.is_meta else value
        for name, value in found.items()
        if isinstance(value, Tensor)
    }
    if not state:
        raise _no_checkpoint(path, "it holds no tensors by name")
    return state, ".".join(taken)


def without_prefixes(state: State, own: Collection[str]) -> State:
    """Tensors under the names that a wrapping module put `module.` and the like before.

    A prefix is taken off where none of the model's `own` names has it; what lies beside it (a
    loss, a count of steps) is left behind.
    """
    for prefix in (*PREFIXES, *PREFIXES):  # wrapped in either order
        inside = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        if inside and not any(name.startswith(prefix) for name in own):
            state = inside
    return state


def _no_checkpoint(path: Path, why: str) -> ModelError:
    return ModelError(
        f"`pretrained` is {path}, which cannot be read as weights ({why}). "
        "Give a safetensors file, or a torch checkpoint that holds a state dict and nothing else."
    )
