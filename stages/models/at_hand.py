"""Which trained backbones lie on this machine: in installed packages and the libraries' caches.

Their `pretrained: true` needs no network.
"""

from collections.abc import Iterable

from stages.models import MODELS
from stages.models.hub import TIMM_FILE, is_fetched, torchvision_weights
from stages.models.packaged import packaged_file


def trained_at_hand() -> list[str]:
    """Names of models: those of the table, and by their library's name all others.

    Raises ModelError when a package's file is not the one that was published.
    """
    ours = {_with_tag(spec.library): spec.name for spec in MODELS.values() if spec.library}
    packaged = [s.name for s in MODELS.values() if s.packaged and packaged_file(s.packaged)]
    fetched = [ours.get(name, name) for name in (*_of_torchvision(ours), *_of_timm())]
    return list(dict.fromkeys([*packaged, *fetched]))


def _with_tag(library: str) -> str:
    """The name of a timm model with the tag that it stands for, as timm lists trained ones."""
    from timm.models import get_pretrained_cfg

    name, _, identifier = library.partition("/")
    cfg = get_pretrained_cfg(identifier) if name == "timm" and "." not in identifier else None
    return f"{library}.{cfg.tag}" if cfg and cfg.tag else library


def _of_torchvision(ours: Iterable[str]) -> list[str]:
    """Those of `ours`, which may be of a tag of their own, and those of torchvision's choice."""
    from torchvision import models

    every = [f"torchvision/{name}" for name in models.list_models(module=models)]
    names = dict.fromkeys([*(name for name in ours if name.startswith("torchvision/")), *every])
    return [
        name
        for name in names
        if is_fetched(torchvision_weights(name.removeprefix("torchvision/")).url)
    ]


def _of_timm() -> list[str]:
    import timm
    from huggingface_hub import try_to_load_from_cache

    found = []
    for name in timm.list_models(pretrained=True):
        cfg = timm.get_pretrained_cfg(name)
        repository, address = getattr(cfg, "hf_hub_id", None), getattr(cfg, "url", None)
        cached = try_to_load_from_cache(repository, TIMM_FILE) if repository else None
        if isinstance(cached, str) or (not repository and address and is_fetched(address)):
            found.append(f"timm/{name}")
    return found
