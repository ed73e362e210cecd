"""The same training on several processes: one batch, shared out, with one device's arithmetic.

Every process draws the whole batch's order and augmentation and takes its part of it, gradients
are averaged by DistributedDataParallel, and batch-norm statistics are those of the whole batch,
so the result is that of one device up to rounding; but for dropout and drop path, whose masks
each process draws for its own part. Started by `train.devices: N` through
torchrun, or by the user's own torchrun over several nodes.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from stages.core.counts import counted
from stages.core.errors import DeviceError, TrainingError

SECONDS_TO_END = 5  # that torchrun has after Ctrl-C before it is told to end


def rank() -> int:
    """The place of this process in a run of several, 0 alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes train together, 1 alone."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_distributed() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ


def require_processes(devices: int) -> None:
    """Raise DeviceError when the user's own torchrun started others than `train.devices` asks for
    on a node: a run would not tell how many shared it.
    """
    started = int(os.environ.get("LOCAL_WORLD_SIZE", devices))
    if is_distributed() and started != devices:
        raise DeviceError(
            f"torchrun started {counted(started, 'process', 'processes')} on this node, but "
            f"`train.devices` is {devices}. Start it with `--nproc-per-node {devices}`, or set "
            f"`train.devices: {started}`."
        )


def launch(processes: int, module: str, arguments: list[str]) -> None:
    """Run `python -m module` as `processes` processes of one node, and wait for them.

    Raises TrainingError when one of them ends in failure; torchrun then stops the others.
    """
    command = [sys.executable, "-m", "stages.training.torchrun", "--standalone"]
    command += ["--nproc-per-node", str(processes), "--module", module, *arguments]
    # torchrun would set one thread per process; the fingerprint has told of these.
    environment = {"OMP_NUM_THREADS": str(torch.get_num_threads()), **os.environ}
    child = subprocess.Popen(command, env=environment)
    try:
        status = child.wait()
    except KeyboardInterrupt:
        try:
            with suppress(subprocess.TimeoutExpired):
                child.wait(SECONDS_TO_END)  # Ctrl-C in a terminal reaches it too
        finally:  # also where Ctrl-C comes once more
            child.terminate()
            child.wait()
        raise
    if status:
        raise TrainingError(
            f"One of the {processes} training processes failed and the others were stopped; its "
            "own message is above. If it was killed from outside, run the same command again: "
            "training goes on from its last checkpoint."
        )


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes, if there are any; yields the device of this one.

    Raises DeviceError when there are fewer CUDA devices than processes on this node, and on MPS.
    """
    if not is_distributed():
        yield device
        return
    if device.type == "mps":
        raise DeviceError(
            "`train.devices` shares a training between CUDA devices or CPU processes, but `device` "
            f"is {device.type} here. Set `train.devices: 1` or `device: cpu`."
        )
    if device.type == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise DeviceError(
                "`train.devices` asks for more processes than the "
                f"{torch.cuda.device_count()} CUDA devices of this machine; lower it."
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def barrier() -> None:
    """Wait for all processes; nothing to wait for alone."""
    if is_distributed():
        dist.barrier()


def require_agreement(what: str, value: object) -> None:
    """Raise TrainingError unless `value` is the same in all processes; nothing to do alone."""
    if not is_distributed():
        return
    values: list[object] = [None] * world_size()
    dist.all_gather_object(values, value)
    if any(other != values[0] for other in values):
        raise TrainingError(
            f"The processes do not agree on {what}: {', '.join(map(str, values))}, by rank. All "
            "nodes must see the same `.work` folder and data; give it shared storage, or run "
            "`make clean-cache` on every node and start anew."
        )


def wrap_ddp(model: torch.nn.Module, device: torch.device) -> Any:
    """The callable to train through: averages gradients over processes as they are made."""
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=ids, forward_sync_buffers=False)


def local_slice(rows: Tensor) -> slice:
    """The slice of a batch of len(rows) that this process computes.

    Raises TrainingError when the batch cannot be shared out evenly.
    """
    if len(rows) % world_size():
        raise TrainingError(
            f"A batch of {counted(len(rows), 'image')} cannot be shared evenly by {world_size()} "
            "processes. Set `train.batch_size` or, where there are fewer training images, "
            "`subset.train` to a multiple of `train.devices`."
        )
    size = len(rows) // world_size()
    return slice(rank() * size, (rank() + 1) * size)


def all_reduce_mean(value: Tensor) -> Tensor:
    """The mean of a tensor over all processes; itself alone."""
    if not is_distributed():
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / world_size()


def all_gather(values: Tensor) -> Tensor:
    """The tensors of all processes [b, …] in the order of ranks [b·n, …]; itself alone."""
    if not is_distributed():
        return values
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def sync_batch_norm() -> AbstractContextManager[Any]:
    """The context in which a step runs: batch norm over all processes; nothing to do alone."""
    return _SyncBatchNorm() if is_distributed() else nullcontext()


class _SyncBatchNorm(TorchFunctionMode):
    """Within this context batch norm in training uses the statistics of all processes' images.

    Catches the functional that every batch-norm module calls, so it serves timm's and
    torchvision's alike, on every backend (torch's SyncBatchNorm is for GPUs alone).
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)
    return total


def _batch_norm(
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch norm [b, c, …] over all processes (Ioffe & Szegedy 2015, arXiv:1502.03167)."""
    if not training:
        return F.batch_norm(images, running_mean, running_var, weight, bias, False, momentum, eps)
    dims = [d for d in range(images.ndim) if d != 1]
    shape = [1, -1] + [1] * (images.ndim - 2)
    count = images.numel() // images.shape[1] * world_size()
    wide = images.float()
    mean = _sum(wide.sum(dims)) / count
    centred = wide - mean.view(shape)
    variance = _sum(centred.square().sum(dims)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * count / (count - 1), momentum)
    normalized: Tensor = centred * torch.rsqrt(variance + eps).view(shape)
    if weight is not None:
        normalized = normalized * weight.view(shape)
    if bias is not None:
        normalized = normalized + bias.view(shape)
    return normalized.to(images.dtype)
