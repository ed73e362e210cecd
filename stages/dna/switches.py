"""Settings that can change bits: PyTorch's own, and variables of the environment.

Read as they stand when asked, after the stage has applied its parameters. Leaves the setting of
them to `core.determinism` and `core.device`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.dna.machine import Facts

ENVIRONMENT = (
    # instruction sets and reduced precision of the CPU libraries
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC", "OMP_DYNAMIC",
    "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES",
    # how many threads share a sum
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    # CUDA and ROCm
    "CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_CUDNN_V8_API_DISABLED", "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_BLAS_PREFER_HIPBLASLT",
    "TORCH_LINALG_PREFER_CUSOLVER", "PYTORCH_TUNABLEOP_ENABLED", "PYTORCH_TUNABLEOP_FILENAME",
    "MIOPEN_FIND_MODE", "MIOPEN_DEBUG_CONVOLUTION_DETERMINISTIC", "HSA_OVERRIDE_GFX_VERSION",
    # Metal
    "PYTORCH_ENABLE_MPS_FALLBACK", "PYTORCH_MPS_FAST_MATH", "PYTORCH_MPS_PREFER_METAL",
)  # fmt: skip
"""Variables that change bits, as the documentation of PyTorch, oneDNN, MKL and cuBLAS says."""

EFFECT_IS_READ = (
    "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)  # fmt: skip
"""Variables that the identity leaves out: what they cause is read directly (capability, threads),
or they touch NumPy alone, whose share is exact integers."""


def environment_switches() -> dict[str, str]:
    """The variables of ENVIRONMENT that are set to something, as they are spelt.

    MKL and PyTorch heed one spelling alone, so another one may be another machine. The workspace
    that training gives cuBLAS by default counts as not set, for every run has it.
    """
    from stages.core.determinism import CUBLAS_WORKSPACE

    found = {name: os.environ.get(name, "").strip() for name in ENVIRONMENT}
    tuned = "PYTORCH_TUNABLEOP_FILENAME"  # where it lies may tell a user's name
    found[tuned] = Path(found[tuned]).name
    if found["CUBLAS_WORKSPACE_CONFIG"] == CUBLAS_WORKSPACE:
        del found["CUBLAS_WORKSPACE_CONFIG"]
    return {name: value for name, value in found.items() if value}


def torch_switches() -> Facts:
    """PyTorch's settings for threads, precision and determinism."""
    import torch

    backends = torch.backends
    return {
        "threads": torch.get_num_threads(),
        "mkl_threads": _mkl_threads(torch.__config__.parallel_info()),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cuda_matmul_fp32": backends.cuda.matmul.fp32_precision,
        "cudnn_convolution_fp32": str(backends.cudnn.conv.fp32_precision),  # type: ignore[attr-defined]
        "onednn_matmul_fp32": str(backends.mkldnn.matmul.fp32_precision),  # type: ignore[attr-defined]
        "onednn_convolution_fp32": str(backends.mkldnn.conv.fp32_precision),  # type: ignore[attr-defined]
        "onednn_enabled": bool(backends.mkldnn.enabled),
        "flush_denormal": _flushes_denormals(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn_enabled": backends.cudnn.enabled,
        "cudnn_deterministic": backends.cudnn.deterministic,
        "cudnn_benchmark": backends.cudnn.benchmark,
        "sdpa": _sdpa_backends(),
    }


def rare_switches() -> Facts:
    """PyTorch's settings that hardly anybody changes, by the names of USUAL."""
    import torch

    backends: Any = torch.backends  # whose attributes are made when asked for
    matmul = backends.cuda.matmul
    return {
        "fp32_precision": str(backends.fp32_precision),
        "cudnn_fp32": str(backends.cudnn.fp32_precision),
        "cudnn_rnn_fp32": str(backends.cudnn.rnn.fp32_precision),
        "onednn_fp32": str(backends.mkldnn.fp32_precision),
        "onednn_rnn_fp32": str(backends.mkldnn.rnn.fp32_precision),
        "onednn_deterministic": _private("_get_mkldnn_deterministic", False),
        "blas_preferred": _last(backends.cuda.preferred_blas_library()),
        "linalg_preferred": _last(backends.cuda.preferred_linalg_library()),
        "fp16_reduced_sums": bool(matmul.allow_fp16_reduced_precision_reduction),
        "bf16_reduced_sums": bool(matmul.allow_bf16_reduced_precision_reduction),
        "fp16_accumulation": bool(matmul.allow_fp16_accumulation),
        "cpu_fp16_reduced_sums": _private("_get_cpu_allow_fp16_reduced_precision_reduction", False),
        "sdpa_math_reduced_sums": bool(backends.cuda.fp16_bf16_reduction_math_sdp_allowed()),
        "sdpa_priority": _sdpa_priority(torch._C._get_sdp_priority_order()),
        "kleidiai": bool(backends.kleidiai.is_available()),
        "arm_compute_library": bool(torch._C._has_mkldnn_acl),
    }


def _private(name: str, usual: bool) -> bool:
    """A switch that PyTorch has no public way to read, and some version may lack."""
    import torch

    return bool(getattr(torch._C, name, lambda: usual)())


def _sdpa_priority(order: Sequence[int]) -> str:
    """The order in which kinds of attention are tried, before PyTorch's own first change of it.

    On a GPU whose generation prefers it, the first attention of a process moves cuDNN's (3) to the
    front. Generation and version, which decide that, are in the identity; read as it stands, one
    machine would be two.
    """
    usual = str(USUAL["sdpa_priority"])
    moved = ["3", *usual.replace(" 3", "").split()]
    found = list(map(str, order))
    return usual if found == moved else " ".join(found)


def _last(choice: object) -> str:
    """A choice without the name of its kind."""
    return str(choice).rpartition(".")[2]


USUAL: Facts = {
    "fp32_precision": "none", "cudnn_fp32": "none", "cudnn_rnn_fp32": "ieee",
    "onednn_fp32": "none", "onednn_rnn_fp32": "none", "onednn_deterministic": False,
    "blas_preferred": "Cublas", "linalg_preferred": "Default", "fp16_reduced_sums": True,
    "bf16_reduced_sums": True, "fp16_accumulation": False, "cpu_fp16_reduced_sums": False,
    "sdpa_math_reduced_sums": False, "sdpa_priority": "1 2 0 3 4", "kleidiai": False,
    "arm_compute_library": False, "tunable_op": None, "cublas": None, "triton": None,
    "macos_build": None, "metal_graph": None,
}  # fmt: skip
"""Facts that enter the identity only where they are others than these, which PyTorch 2.15 has on an
x86 CPU: so a fact that is read since a later version leaves the ids of earlier machines alone."""


def _mkl_threads(described: str) -> int | None:
    found = re.search(r"mkl_get_max_threads\(\) : (\d+)", described)
    return int(found.group(1)) if found else None


def _flushes_denormals() -> bool:
    """Whether the smallest numbers become zero: there is a switch but no way to read it."""
    import torch

    return bool((torch.full((1,), 2.0**-126) * 0.5).item() == 0.0)


def _sdpa_backends() -> str:
    """The kinds of scaled dot product attention that may be chosen."""
    import torch

    allowed = {
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "mem_efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
        "math": torch.backends.cuda.math_sdp_enabled(),
    }
    return " ".join(name for name, enabled in allowed.items() if enabled)
