"""The chip, its memory and its accelerator: what psutil, py-cpuinfo and nvidia-ml-py say of them.

What cannot be read is None, never a guess. Leaves what a run uses of them, moment by moment, to
`measures.profiling`.
"""

import platform
import plistlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Facts = dict[str, str | int | float | bool | None]

ARITHMETIC = ("avx", "amx", "fma", "sse4", "f16c", "neon", "asimd", "sve", "sme", "i8mm", "bf16",
              "fp16", "dot", "vnni", "arm_")  # fmt: skip
"""Beginnings of the names of CPU features that bring instructions for arithmetic."""


def chip_facts() -> Facts:
    """Name, architecture, arithmetic features, caches and cores of the CPU."""
    import psutil
    import torch

    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    features = sorted(
        name for name, has in capabilities.items() if has is True and name.startswith(ARITHMETIC)
    )
    return {
        "chip": _chip_name(str(capabilities.get("cpu_name") or "")),
        "architecture": platform.machine() or None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_features": " ".join(features) or None,
        "l1d_cache_kb": _kilobytes(capabilities.get("l1d_cache_size")),
        "l2_cache_kb": _kilobytes(capabilities.get("l2_cache_size")),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
    }


def _chip_name(from_torch: str) -> str | None:
    """PyTorch's own answer costs nothing; py-cpuinfo, at over a second, only failing it."""
    if from_torch and from_torch.lower() not in ("unknown", platform.machine().lower()):
        return from_torch.strip()
    import cpuinfo

    return str(cpuinfo.get_cpu_info().get("brand_raw", "")).strip() or None


def _kilobytes(count: object) -> int | None:
    return count // 1024 if isinstance(count, int) and count > 0 else None


def system_facts() -> Facts:
    """Operating system and C library. The kernel's local suffix, which can name a box, is cut."""
    name = {"Darwin": "macOS"}.get(platform.system(), platform.system()) or None
    release = re.match(r"\d+(\.\d+)*", platform.release())
    return {
        "os": name,
        "kernel": release.group() if release else None,
        "macos": platform.mac_ver()[0] or None,
        "macos_build": _apple(MACOS, "ProductBuildVersion"),
        "metal_graph": _apple(METAL_GRAPH, "CFBundleVersion"),
        "libc": " ".join(part for part in platform.libc_ver() if part) or None,
    }


MACOS = Path("/System/Library/CoreServices/SystemVersion.plist")
METAL_GRAPH = Path(
    "/System/Library/Frameworks/MetalPerformanceShadersGraph.framework/Resources/Info.plist"
)
"""What macOS says of itself, and of the library that PyTorch's MPS kernels come from."""


def _apple(path: Path, key: str) -> str | None:
    """A value of a property list; None elsewhere than on a Mac."""
    try:
        return str(plistlib.loads(path.read_bytes())[key])
    except (OSError, KeyError, plistlib.InvalidFileException):
        return None


def accelerator_facts(device: "torch.device") -> Facts:
    """Backend, and the accelerator's name, generation, size and driver; None on the CPU."""
    facts: Facts = dict.fromkeys(
        ("accelerator", "compute_capability", "accelerator_cores", "accelerator_memory_gb",
         "driver"),
    )  # fmt: skip
    if device.type == "cuda":
        facts |= _cuda_facts(device)
    elif device.type == "mps":
        facts |= _mps_facts()
    return {"backend": _backend(device), **facts}


def _backend(device: "torch.device") -> str:
    import torch

    return "rocm" if device.type == "cuda" and torch.version.hip else device.type


def _cuda_facts(device: "torch.device") -> Facts:
    """From CUDA or ROCm; `accelerator_cores` counts streaming multiprocessors."""
    import torch

    properties = torch.cuda.get_device_properties(device)
    generation = getattr(properties, "gcnArchName", None) if torch.version.hip else None
    return {
        "accelerator": properties.name,
        "compute_capability": generation or f"{properties.major}.{properties.minor}",
        "accelerator_cores": properties.multi_processor_count,
        "accelerator_memory_gb": round(properties.total_memory / 1e9, 1),
        "driver": _nvidia_driver(),
    }


def _nvidia_driver() -> str | None:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # ROCm, or a container without the management library
        return None
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def _mps_facts() -> Facts:
    """From Metal. The GPU shares the machine's memory, so it has no size of its own."""
    import torch

    return {
        "accelerator": str(torch.backends.mps.get_name()),
        "accelerator_cores": int(torch.backends.mps.get_core_count()),
    }
