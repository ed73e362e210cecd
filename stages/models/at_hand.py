"""Which trained backbones lie on this machine: in installed packages and the libraries' caches.

Their `pretrained: true` needs no network.
"""

from pathlib import Path

from stages.models import MODELS
from stages.models.hub import PREFERRED, TIMM_FILE
from stages.models.packaged import packaged_file


def trained_at_hand() -> list[str]:
    """Names of models: the table's own first, those of timm and torchvision under its names.

    Raises ModelError when a package's file is not the one that was published.
    """
    packaged = [s.name for s in MODELS.values() if s.packaged and packaged_file(s.packaged)]
    ours = {spec.library: spec.name for spec in MODELS.values() if spec.library}
    fetched = [ours.get(name, name) for name in (*_of_torchvision(), *_of_timm())]
    return list(dict.fromkeys([*packaged, *fetched]))


def _of_torchvision() -> list[str]:
    from torchvision import models

    found = []
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name)
        if _kept(getattr(weights, PREFERRED, weights.DEFAULT).url):
            found.append(f"torchvision/{name}")
    return found


def _of_timm() -> list[str]:
    import timm
    from huggingface_hub import try_to_load_from_cache

    found = []
    for name in timm.list_models(pretrained=True):
        cfg = timm.get_pretrained_cfg(name)
        repository, address = getattr(cfg, "hf_hub_id", None), getattr(cfg, "url", None)
        cached = try_to_load_from_cache(repository, TIMM_FILE) if repository else None
        if isinstance(cached, str) or (not repository and address and _kept(address)):
            found.append(f"timm/{name}")
    return found


def _kept(address: str) -> bool:
    import torch

    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(address).name).exists()
