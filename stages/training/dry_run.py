"""One throw-away step before the first: what cannot work is told before anything is spent.

Finds operations without a deterministic form, random draws that no seed sets, models that cannot
take the input, and memory that is too small for the batch. Leaves no trace in the engine's model,
optimiser or random streams.
"""

import copy
import time
from dataclasses import dataclass
from typing import Any

import torch

from stages.core.device import autocast, memory_advice, synchronize
from stages.core.errors import ModelError, TrainingError
from stages.models.masks import own_draws_only, portable_masks
from stages.training.engine import Engine
from stages.training.fast_kernels import fast_kernels

SMALLER_BATCH = (
    "Lower `train.batch_size`, or keep it and raise `train.accumulate`; for the validation lower "
    "`evaluate.batch_size`."
)
TOO_LARGE = (
    "does not fit even with two images. Choose a smaller model or `input_size`, or `device: cpu`."
)


def dry_run(engine: Engine) -> None:
    """Run a forward and backward of two images through a copy of the model, at its precision.

    Of one, where the training will have that: BatchNorm may have no statistics then. Raises
    TrainingError for that and when an operation has no deterministic form, DeviceError when memory
    runs out, ModelError when the model cannot take the input or draws from PyTorch's own generator.
    """
    px, task, params = engine.built.model_px, engine.task, engine.params
    model = copy.deepcopy(engine.model).train()
    count = min(2, engine.smallest_micro_batch)
    images = torch.zeros(count, 3, px, px, device=engine.device)
    labels = torch.zeros(count, dtype=torch.int64, device=engine.device)
    drawn = task.draw(0, "rehearsal", 0, count)
    draws = {name: draw.to(engine.device) for name, draw in drawn.items()}
    try:
        inputs, targets = task.prepare(
            images.contiguous(memory_format=engine.memory_format), labels, draws
        )
        with memory_advice(engine.device, f"`model` {params.model} {TOO_LARGE}"):
            masks = portable_masks(model, params.seed, 0)
            with masks, own_draws_only(engine.device):
                with autocast(engine.device, params.train.precision):
                    loss = task.loss(model(*inputs), targets, 0.0)
                torch.autograd.backward(loss)
    except (RuntimeError, ValueError, AssertionError) as error:
        first_line = str(error).partition("\n")[0]
        if "deterministic" in str(error):
            raise TrainingError(
                f"{first_line} Set `train.deterministic: warn` to train all the same; the same "
                "run may then give other bits each time."
            ) from error
        if count == 1 and "more than 1 value per channel" in str(error):
            raise TrainingError(
                f"`train.accumulate` {params.train.accumulate} makes a part of one image out of "
                f"a batch of {engine.batch_size}, of which `model` {params.model} can take no "
                "statistics (BatchNorm). Lower `train.accumulate`, or choose a `train.batch_size` "
                "that it divides into parts of two or more."
            ) from error
        raise ModelError(
            f"`model` {params.model} cannot be trained at `input_size` {params.input_size}: "
            f"{first_line}. Choose another size or model."
        ) from error


@dataclass(frozen=True)
class CompileGain:
    """What `torch.compile` costs once, and how much faster a step is for it."""

    compile_seconds: float
    compile_speedup: float


def measure_compile(engine: Engine) -> CompileGain:
    """Time forward and backward of a whole batch, eager and compiled, on copies of the model.

    Eager is as the training would be without `compile`: with the fast kernels it asks for.

    Raises TrainingError when the model or the machine cannot compile, DeviceError when the
    memory of the device is too small for it.
    """
    eager = copy.deepcopy(engine.model).train()
    compiled = torch.compile(copy.deepcopy(eager))
    with fast_kernels(engine.device.type == "cpu" and engine.params.train.fast_kernels):
        eager_seconds = _fastest(engine, eager)
    started = time.perf_counter()
    try:
        with memory_advice(engine.device, SMALLER_BATCH):
            _step(engine, compiled)
    except RuntimeError as error:
        raise TrainingError(
            f"torch.compile failed on `model` {engine.params.model}: "
            f"{str(error).partition(chr(10))[0]}. It needs a C++ compiler on the CPU and Triton on "
            "CUDA. Set `train.compile: false`."
        ) from error
    compile_seconds = time.perf_counter() - started
    return CompileGain(compile_seconds, eager_seconds / _fastest(engine, compiled))


def _fastest(engine: Engine, model: Any) -> float:
    """Seconds of the fastest of a few steps: what the machine can do when nothing disturbs it."""
    _step(engine, model)
    return min(_step(engine, model) for _ in range(3))


def _step(engine: Engine, model: Any) -> float:
    px, count = engine.built.model_px, engine.batch_size
    images = torch.zeros(count, 3, px, px, device=engine.device)
    images = images.contiguous(memory_format=engine.memory_format)
    labels = torch.zeros(count, dtype=torch.int64, device=engine.device)
    draws = engine.task.draw(0, "rehearsal", 0, count)
    inputs, targets = engine.task.prepare(
        images, labels, {name: draw.to(engine.device) for name, draw in draws.items()}
    )
    synchronize(engine.device)
    started = time.perf_counter()
    with autocast(engine.device, engine.params.train.precision):
        loss = engine.task.loss(model(*inputs), targets, 0.0)
    torch.autograd.backward(loss)
    synchronize(engine.device)
    return time.perf_counter() - started
