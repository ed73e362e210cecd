"""Versions of the libraries that compute, decode or define models.

Packages are looked up in the installed metadata, so that torchvision and timm, which take a second
to import, are not imported.
"""

import platform
import re
from importlib import metadata

from stages.dna.machine import Facts

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "onnxruntime")


def software_facts(backend: str) -> Facts:
    """Versions of Python, of the packages, and of the numerical libraries inside them.

    The libraries of an accelerator are named only when `backend` uses them.
    """
    packages: Facts = {name: _version(name) for name in PACKAGES}
    facts = {"python": platform.python_version(), **packages, **_torch_build(), **_other_builds()}
    unused = {"cuda": ("rocm",), "rocm": ("cuda",)}.get(backend, ("cuda", "cudnn", "rocm"))
    return facts | dict.fromkeys(unused) | _of_accelerator(backend)


def _of_accelerator(backend: str) -> Facts:
    """Libraries beside PyTorch that an accelerator's kernels come from; None where not in use."""
    facts: Facts = dict.fromkeys(("cublas", "triton", "tunable_op"))
    if backend not in ("cuda", "rocm"):
        return facts
    import torch

    names = ("nvidia-cublas", "nvidia-cublas-cu12", "nvidia-cublas-cu11")
    found = (version for name in names if (version := _version(name)))
    facts["cublas"] = next(found, None) if backend == "cuda" else None
    facts["triton"] = _version("triton")
    facts["tunable_op"] = True if torch.cuda.tunable.is_enabled() else None
    return facts


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch_build() -> Facts:
    """What this PyTorch was built with. The text of its own description is the only source."""
    import torch

    described = torch.__config__.show()
    cudnn = torch.backends.cudnn.version()
    return {
        "torch_build": torch.__version__,
        "blas": _first(r"BLAS_INFO=(\w+)", described),
        "mkl": _first(r"(?:oneAPI )?Math Kernel Library Version (\S+?)[- ]", described),
        "onednn": _first(r"MKL-DNN v(\S+)", described),
        "openmp": _first(r"OpenMP (\d+)", described),
        "cuda": torch.version.cuda,
        "cudnn": str(cudnn) if cudnn else None,
        "rocm": torch.version.hip,
    }


def _other_builds() -> Facts:
    """NumPy's BLAS, and the library that decodes JPEG images."""
    import numpy as np
    from PIL import features

    built = np.show_config(mode="dicts").get("Build Dependencies", {})
    blas = built.get("blas", {})
    jpeg = features.version("libjpeg_turbo")
    return {
        "numpy_blas": f"{blas.get('name', '')} {blas.get('version', '')}".strip() or None,
        "jpeg": f"libjpeg-turbo {jpeg}" if jpeg else features.version("jpg"),
    }


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found.group(1) if found else None
