"""The device that a run uses, and the few calls that differ between CPU, CUDA and MPS.

Chosen when a stage asks, never at import: `prepare` is the one way in. Allocators, copies, waiting
and memory differ here and nowhere else. Leaves the switches themselves to `core.determinism` and
the description of the machine to `dna`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from stages.core.counts import counted
from stages.core.errors import DeviceError

if TYPE_CHECKING:
    import torch

    from stages.core.params import Params

DEVICES = r"^(auto|cpu|cuda(:\d+)?|mps)$"
DEVICES_IN_WORDS = "auto, cpu, cuda, cuda:1, or mps"


def prepare(params: "Params") -> "torch.device":
    """The device of a run, once this process computes as its parameters say.

    Sets determinism, the meaning of fp32, and threads. Raises DeviceError as `choose_device` does.
    """
    from stages.core.determinism import set_determinism

    device = choose_device(params.device)
    set_determinism(params.train.deterministic, device)
    set_threads(params)
    return device


def device_of(backend: str) -> str:
    """The device type of a backend as the hardware DNA names it: PyTorch calls ROCm's `cuda`."""
    return {"rocm": "cuda"}.get(backend, backend)


def choose_device(name: str) -> "torch.device":
    """The torch device that `auto`, `cpu`, `cuda`, `cuda:1` or `mps` means here.

    Raises DeviceError when a device is asked for that is absent or none of these; `auto` takes
    CUDA, then MPS, then the CPU.
    """
    import torch

    if not re.fullmatch(DEVICES, name):
        raise DeviceError(f"`device` is {name}; it must be {DEVICES_IN_WORDS}.")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        why = "needs macOS on Apple silicon" if torch.backends.mps.is_built() else "is not built in"
        raise DeviceError(_absent(name, f"MPS {why}"))
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            why = "sees no GPU" if torch.backends.cuda.is_built() else "has no CUDA built in"
            raise DeviceError(_absent(name, f"this PyTorch ({torch.__version__}) {why}"))
        index = int(name.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise DeviceError(
                _absent(name, f"there are {torch.cuda.device_count()} CUDA devices, counted from 0")
            )
        return torch.device("cuda", index)
    return torch.device(name)


def _absent(name: str, why: str) -> str:
    return f"`device` is {name}, but {why}. Set `device: auto` or `device: cpu`."


def require_devices(count: int, device: "torch.device") -> None:
    """Raise DeviceError when this machine cannot run `count` training processes on such devices."""
    import torch

    if count == 1:
        return
    if device.type == "mps":
        raise DeviceError(
            f"`train.devices` is {count}, but a training is shared between CUDA devices or CPU "
            "processes, and `device` is mps here. Set `train.devices: 1` or `device: cpu`."
        )
    cuda = device.type == "cuda"
    there = torch.cuda.device_count() if cuda else os.cpu_count() or 1
    if count > there:
        raise DeviceError(
            f"`train.devices` is {count}, but this machine has {there} "
            f"{'CUDA devices' if cuda else 'CPU cores, one for each process'}. Lower it."
        )


def set_threads(params: "Params") -> int:
    """Set PyTorch's intra-op threads as `threads` asks and return how many are used."""
    import torch

    if params.threads != "auto":
        torch.set_num_threads(params.threads)
    return torch.get_num_threads()


def threads_note(threads: int | str) -> str | None:
    """What to say of more `threads` than there are cores; None where there are enough."""
    cores = os.cpu_count()
    if cores is None or threads == "auto" or int(threads) <= cores:
        return None
    return f"`threads` is {threads} on {counted(cores, 'core')}: threads will wait for one another"


def has_exact_integers(device: "torch.device") -> bool:
    """Whether sums and products of 64-bit integers wrap around there, as on a CPU and on CUDA."""
    return device.type != "mps"


def synchronize(device: "torch.device") -> None:
    """Wait until all work queued on the device is done; nothing to wait for on the CPU."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def send(tensor: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """A tensor of host memory on the device.

    To CUDA by way of pinned memory, so that the copy does not wait for all work queued before it.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def may_stay(size_bytes: int, device: "torch.device") -> bool:
    """Whether data may lie on the device throughout: on CUDA if half of the free memory is left."""
    free = free_bytes(device) if device.type == "cuda" else None
    return free is None or size_bytes < free / 2


def free_bytes(device: "torch.device") -> int | None:
    """What an accelerator can still allocate; None for the CPU, which shares the host's memory."""
    import torch

    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + kept)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None


def reset_peak(device: "torch.device") -> None:
    """Begin anew with the peak that `peak_bytes` tells."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: "torch.device") -> int | None:
    """The most bytes that the allocator held since `reset_peak`; None where it keeps no peak."""
    import torch

    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def allocated_bytes(device: "torch.device") -> int:
    """The bytes that an accelerator's allocator holds now."""
    import torch

    if device.type == "mps":
        return int(torch.mps.current_allocated_memory())
    return torch.cuda.memory_allocated(device)


def release_cache(device: "torch.device") -> None:
    """Give memory that MPS keeps for later back to the system."""
    import torch

    if device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def memory_advice(device: "torch.device", advice: str) -> Iterator[None]:
    """Raise DeviceError, with `advice`, when the device's memory ends within."""
    try:
        yield
    except RuntimeError as error:  # also torch.OutOfMemoryError
        told = str(error)
        if not re.search(r"out of memory|can't allocate memory", told):
            raise
        raise DeviceError(
            f"The memory of {device} is too small ({told.partition(chr(10))[0]}). {advice}"
        ) from error


def precision_note(device: "torch.device", precision: str) -> str | None:
    """What to say of a precision that the processor computes without instructions for it.

    None where it has some, or does not tell.
    """
    import torch

    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    has_some = any(precision in name and has is True for name, has in capabilities.items())
    if device.type != "cpu" or precision == "fp32" or not capabilities or has_some:
        return None
    return f"this processor has no instructions for {precision}: fp32 may be several times as fast"


def autocast(device: "torch.device", precision: str) -> AbstractContextManager[Any]:
    """The autocast context of a precision: none for fp32."""
    import torch

    if precision == "fp32":
        return nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(device.type, dtype)
