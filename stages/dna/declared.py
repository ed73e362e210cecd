"""The declared DNA: everything readable that describes a run's machine and settings.

Three groups: the machine (chip, libraries, switches), of which the identity is the part that
decides bits, and the run (what `params.yaml` asks for). The measured DNA is left to `numerics`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stages.core.files import sha256_of_json
from stages.core.params import Params
from stages.dna.machine import Facts, accelerator_facts, chip_facts, system_facts
from stages.dna.software import software_facts
from stages.dna.switches import (
    EFFECT_IS_READ,
    USUAL,
    environment_switches,
    rare_switches,
    torch_switches,
)

if TYPE_CHECKING:
    import torch

DECIDES_BITS = (
    # hardware, and what kernels are chosen by
    "chip", "architecture", "cpu_capability", "cpu_features", "l1d_cache_kb", "l2_cache_kb",
    "backend", "accelerator", "compute_capability", "accelerator_cores", "driver",
    # software that computes, decodes or defines models; `libc` carries the maths functions
    "os", "macos", "libc", "torch_build", "torchvision", "timm", "pillow", "jpeg", "onnxruntime",
    "blas", "mkl", "onednn", "openmp", "cuda", "cudnn", "rocm",
    # switches
    "threads", "mkl_threads", "float32_matmul_precision", "cuda_matmul_fp32",
    "cudnn_convolution_fp32", "onednn_matmul_fp32", "onednn_convolution_fp32", "onednn_enabled",
    "flush_denormal", "cudnn_enabled", "sdpa",
)  # fmt: skip
"""Facts of the identity. Left out: sizes of memory, Python and NumPy (whose share is exact), and
what is a parameter, on which the stages depend by themselves."""


CHIP_CHARACTERS = 24


@dataclass(frozen=True)
class Declared:
    """What was read: facts of the machine, switches of the environment, settings of the run."""

    machine: Facts
    environment: dict[str, str]
    run: Facts

    def identity(self) -> dict[str, Any]:
        """The facts that decide bits, in a fixed order; equal on every start of one machine."""
        decisive = {name: self.machine.get(name) for name in DECIDES_BITS}
        set_here = {
            name: value for name, value in self.environment.items() if name not in EFFECT_IS_READ
        }
        unusual = {
            name: self.machine[name]
            for name, usual in USUAL.items()
            if name in self.machine and self.machine[name] != usual
        }
        return {**decisive, **unusual, "environment": set_here}


def read_declared(params: Params, device: "torch.device") -> Declared:
    """Gather the declared DNA, once the parameters' threads and determinism are in force."""
    accelerator = accelerator_facts(device)
    software = software_facts(str(accelerator["backend"]))
    machine = chip_facts() | system_facts() | accelerator | software | torch_switches()
    machine |= rare_switches()
    return Declared(machine, environment_switches(), run_settings(params))


def run_settings(params: Params) -> Facts:
    """What the run asks for that changes bits without being a fact of the machine."""
    mode = params.train.deterministic
    return {
        "precision": params.train.precision,
        "memory_format": params.train.memory_format,
        "fast_kernels": params.train.fast_kernels,
        "deterministic_mode": mode if isinstance(mode, str) else str(mode).lower(),
        "evaluate_batch_size": params.evaluate.batch_size,
        "seed": params.seed,
    }


def headline(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The facts worth a row in DVC's tables, each short enough for one.

    `chip` is what computes: the accelerator, or else the CPU. The seed's name is not that of the
    parameter: `dvc exp show` would write both columns with their files' paths.
    """
    chip = machine["accelerator"] or machine["chip"]
    return {
        "id": machine["id"],
        "chip": chip if len(chip or "") <= CHIP_CHARACTERS else f"{chip[: CHIP_CHARACTERS - 1]}…",
        "backend": machine["backend"],
        "torch": machine["torch"],
        "run_seed": machine["seed"],
    }


def short_id(value: Any) -> str:
    """Eight hex digits of a JSON value."""
    return sha256_of_json(value)[:8]
