"""Published weights, fetched from where timm and torchvision keep them.

What was fetched before lies in the libraries' own caches and needs no network. Without one the
message comes at once: an address is tried a single time before a download that retries for long.
"""

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core.errors import STORAGE_ERRORS, ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from torchvision.models import WeightsEnum

PREFERRED = "IMAGENET1K_V2"
TIMM_FILE = "model.safetensors"
REACHED_WITHIN_SECONDS = 10


def published_weights(library: str) -> "dict[str, Tensor]":
    """The published weights of `timm/<id>` or `torchvision/<id>`, by parameter name.

    Raises ModelError when there are none or they cannot be fetched.
    """
    name, _, identifier = library.partition("/")
    fetch = _from_timm if name == "timm" else _from_torchvision
    try:
        return fetch(identifier)
    except (urllib.error.URLError, http.client.HTTPException, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
            raise
        where = getattr(error, "url", None) or getattr(error, "filename", None)
        why = str(getattr(error, "reason", error)).partition("\n")[0]
        raise ModelError(
            f"`pretrained` is true, but the published weights of {library} cannot be fetched"
            f"{f' from {where}' if where else ''} ({why}). Check the "
            "network, or give in `pretrained` the path of a file with the weights, or set it to "
            "false."
        ) from None


def torchvision_weights(identifier: str) -> "WeightsEnum":
    """Those of the tag after a dot, else IMAGENET1K_V2 where it exists, else the default."""
    from torchvision import models

    name, _, tag = identifier.partition(".")
    weights = models.get_model_weights(name)
    return weights[tag] if tag else getattr(weights, PREFERRED, weights.DEFAULT)


def is_fetched(address: str) -> bool:
    """Whether a checkpoint lies in PyTorch's cache."""
    import torch

    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(address).name).exists()


def _from_torchvision(identifier: str) -> "dict[str, Tensor]":
    return _from_address(torchvision_weights(identifier).url)


def _from_timm(identifier: str) -> "dict[str, Tensor]":
    from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
    from safetensors.torch import load_file
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(identifier)
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        raise ModelError(
            f"`pretrained` is true, but timm publishes no weights for {identifier}. Name another "
            "tag (`timm/<id>.<tag>`), give a path, or set `pretrained: false`."
        )
    if not cfg.hf_hub_id:
        return _from_address(str(cfg.url))
    cached = try_to_load_from_cache(cfg.hf_hub_id, TIMM_FILE)
    if not isinstance(cached, str):
        _reach(hf_hub_url(cfg.hf_hub_id, TIMM_FILE))
        cached = hf_hub_download(cfg.hf_hub_id, TIMM_FILE)
    return load_file(cached)


def _from_address(address: str) -> "dict[str, Tensor]":
    """A checkpoint by its address, through PyTorch's cache, its hash checked."""
    import torch

    if not is_fetched(address):
        _reach(address)
    state: dict[str, Any] = torch.hub.load_state_dict_from_url(
        address, map_location="cpu", check_hash=True, weights_only=True
    )
    return state


def _reach(address: str) -> None:
    """Ask once for the head of a file. Raises OSError when nobody answers."""
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=REACHED_WITHIN_SECONDS):
            return
    except urllib.error.URLError as error:
        error.filename = address
        raise
