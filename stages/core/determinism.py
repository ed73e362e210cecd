"""Switches that make PyTorch repeat itself, and compute on every device what precision asks for.

Covers determinism flags, TF32, and the C library's memory thresholds.
"""

import ctypes
import os
import sys
from typing import Literal

import torch

# https://docs.nvidia.com/cuda/cublas/#results-reproducibility: must be set before cuBLAS starts.
CUBLAS_WORKSPACE = ":4096:8"


def set_determinism(mode: Literal[True, False, "warn"], device: torch.device) -> None:
    """Ask PyTorch for deterministic algorithms: required, preferred with a warning, or not.

    Source: https://docs.pytorch.org/docs/stable/notes/randomness.html. With `True` an operation
    that has no deterministic form raises RuntimeError and names itself. On MPS it warns instead:
    the backward of max pooling, which half of the networks need, has no such form there.

    And fp32 is fp32: cuDNN's convolutions would round their inputs to the 10 bits of TF32.
    """
    # The older switch too: the ONNX exporter reads it, which fails when the newer ones differ.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    if device.type == "mps" and mode is True:
        mode = "warn"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    # `use_deterministic_algorithms` imports the whole of Inductor first, which takes seconds; this
    # is the same switch without it.
    torch.set_deterministic_debug_mode({True: "error", "warn": "warn", False: "default"}[mode])
    torch.backends.cudnn.benchmark = mode is False
    # Filling fresh memory with NaN finds reads of it, which no operation used here makes; it
    # costs a pass over every tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> None:
    """Have glibc keep freed memory instead of returning it to the system between steps.

    Activations of a step are some megabytes each: by default glibc maps and unmaps them, and
    every step pays a page fault per 4 KiB. Serving them from the heap and never trimming it
    takes the faults away. No effect on results, or outside Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        trim_threshold, top_pad, mmap_max = -1, -2, -4  # from malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(top_pad, 64 * 2**20)
