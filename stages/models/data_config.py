"""How images were shown to trained weights: as their publishers say, or as we recorded it.

timm keeps it in `pretrained_cfg`, torchvision in the transforms of its weights, and the train stage
in its weights file.
"""

import json
from pathlib import Path

from stages.models.hub import torchvision_weights
from stages.models.spec import DataConfig, Interpolation

HALVES = (0.5, 0.5, 0.5)
SCALED_INSIDE = ("inception_v3", "googlenet")
"""Networks that torchvision's published weights have rescale their input from ImageNet's statistics
to halves (`transform_input`); here they see halves at once."""


def published_config(library: str) -> DataConfig | None:
    """That of the published weights of `timm/<id>` or `torchvision/<id>`; None when untold."""
    name, _, identifier = library.partition("/")
    return _of_timm(identifier) if name == "timm" else _of_torchvision(identifier)


def _of_timm(identifier: str) -> DataConfig | None:
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(identifier)
    if cfg is None:
        return None
    return DataConfig(
        tuple(cfg.mean), tuple(cfg.std), _filter(cfg.interpolation), int(cfg.input_size[-1]),
        f"timm/{identifier}",
    )  # fmt: skip


def _of_torchvision(identifier: str) -> DataConfig:
    shown = torchvision_weights(identifier).transforms()
    scaled = identifier.partition(".")[0] in SCALED_INSIDE
    mean, std = (HALVES, HALVES) if scaled else (shown.mean, shown.std)
    return DataConfig(
        tuple(mean), tuple(std), _filter(shown.interpolation.value),
        int(shown.crop_size[0]), f"torchvision/{identifier}",
    )  # fmt: skip


def _filter(name: str) -> Interpolation:
    """The nearer of the two filters that enlarge images on every device."""
    return "bilinear" if name in ("bilinear", "nearest") else "bicubic"


def recorded_config(path: Path) -> DataConfig | None:
    """What a weights file of the train stage records; None for any other file."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as opened:
            shown = json.loads(opened.metadata()["about"])["normalization"]
            mean, std = (tuple(map(float, shown[key])) for key in ("mean", "std"))
    except (SafetensorError, TypeError, KeyError, ValueError):
        return None
    filter_ = _filter(shown.get("interpolation", "bilinear"))
    return DataConfig(mean, std, filter_, None, "the run that trained these weights")
