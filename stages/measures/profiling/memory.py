"""Peak memory of inference and of training, each in a fresh process.

One meaning on all backends that can tell: the most bytes that PyTorch's allocator held at once
for weights, inputs, activations, workspaces and, in training, gradients and optimiser state. CUDA
counts it itself; on the CPU it is the running sum of the allocations and frees that the profiler
records. MPS keeps no peak: there it is the allocation at the end of the forward pass, and
`means` says so. Beside it stands the peak of the process's resident set, Python and
libraries included. MB are 10⁶ bytes.

A process of its own gives the resident set a meaning, and takes the blow when the system kills what
is too large.
"""

import copy
import gc
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch
from torch.autograd.profiler import profile

from stages.core.device import (
    allocated_bytes,
    peak_bytes,
    release_cache,
    reset_peak,
    synchronize,
)
from stages.core.errors import UserError
from stages.measures.profiling.fresh_process import context, end_with_parent, ended_with
from stages.measures.profiling.profiled_model import ProfiledModel
from stages.measures.profiling.timing import Call
from stages.measures.profiling.training_step import training_step
from stages.measures.profiling.try_measure import Unmeasured, why

Mode = Literal["inference", "training"]
KILLED = "the system ended the measuring process, most likely for want of memory,"
# Gradients and optimiser state of one step are there in the next.
CALLS: dict[Mode, int] = {"inference": 1, "training": 2}
MEANS = {
    "cpu": "most bytes held by PyTorch's CPU allocator",
    "cuda": "most bytes held by PyTorch's CUDA allocator",
    "mps": "bytes held by PyTorch's MPS allocator after the forward pass (MPS keeps no peak)",
}


@dataclass(frozen=True)
class Peak:
    """The memory of one mode at one batch size; figures are null where there is a reason.

    `killed` says that the system ended the process, as it does when memory runs out.
    """

    batch_size: int
    peak_memory_mb: float | None = None
    peak_resident_mb: float | None = None
    means: str | None = None
    reason: str | None = None
    killed: bool = False


def peak_memory(
    build: Callable[[], ProfiledModel],
    mode: Mode,
    batch_size: int,
    device: torch.device,
    threads: int,
) -> Peak:
    """Measure in a fresh process the network that `build`, which is pickled, makes there."""
    with ProcessPoolExecutor(1, mp_context=context(), initializer=end_with_parent) as pool:
        future = pool.submit(_in_fresh_process, build, mode, batch_size, str(device), threads)
        try:
            with ended_with(future):
                return future.result()
        except BrokenProcessPool:
            return Peak(batch_size, reason=f"{KILLED} at batch {batch_size}", killed=True)
        except UserError:
            raise
        except Exception as error:
            return Peak(batch_size, reason=why(error))


def _in_fresh_process(
    build: Callable[[], ProfiledModel], mode: Mode, batch_size: int, device_name: str, threads: int
) -> Peak:
    """Measure one mode in this process, which must do nothing else."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # the profiler is talkative
    torch.set_num_threads(threads)
    device, subject = torch.device(device_name), build()
    call = _work(subject, mode, batch_size, device)
    reset_peak(device)
    for _ in range(CALLS[mode]):
        call()
    synchronize(device)
    resident = peak_resident_bytes()
    if device.type == "cpu":
        held = allocated_peak(lambda: _work(subject, mode, batch_size, device), CALLS[mode])
    elif (peak := peak_bytes(device)) is not None:
        held = peak
    else:
        del call  # its model would be counted with the one of the measurement
        gc.collect()
        release_cache(device)
        held = _held_after_forward(subject, mode, batch_size, device)
    if held <= 0:
        raise Unmeasured(f"the {device.type} allocator reported nothing")
    return Peak(batch_size, held / 1e6, resident / 1e6, MEANS[device.type])


def _work(subject: ProfiledModel, mode: Mode, batch_size: int, device: torch.device) -> Call:
    if mode == "training":
        return training_step(subject, batch_size, device)
    model = copy.deepcopy(subject.model).to(device).eval()
    inputs = tuple(tensor.to(device) for tensor in subject.batch(batch_size)[0])

    def forward() -> None:
        with torch.inference_mode():
            model(*inputs)

    return forward


def allocated_peak(prepare: Callable[[], Call], calls: int) -> int:
    """Most bytes that PyTorch's CPU allocator held at once in `prepare` and the calls after it.

    What was allocated before does not count, so `prepare` makes all that should and returns what
    is called.
    """
    gc.collect()
    with profile(profile_memory=True) as recorded:  # `torch.profiler` would load the compiler
        call = prepare()
        for _ in range(calls):
            call()
    assert recorded.kineto_results is not None  # as it is after the block
    events = recorded.kineto_results.events()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in events
        if event.name() == "[memory]" and event.device_type().name == "CPU"
    ]
    held = peak = 0
    for _, change in sorted(changes, key=lambda entry: entry[0]):
        held += change
        peak = max(peak, held)
    return peak


def _held_after_forward(
    subject: ProfiledModel, mode: Mode, batch_size: int, device: torch.device
) -> int:
    model = copy.deepcopy(subject.model).to(device).train(mode == "training")
    inputs = tuple(tensor.to(device) for tensor in subject.batch(batch_size)[0])
    with torch.set_grad_enabled(mode == "training"):
        outputs = model(*inputs)
    synchronize(device)
    held = allocated_bytes(device)
    del outputs
    return held


def peak_resident_bytes() -> int:
    """The largest resident set of this process since it began."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage on Linux starts from the parent's peak
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    kilobyte = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte
