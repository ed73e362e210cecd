"""A whole training run from parameters and pixels: set the switches, fit, fall back if asked.

Used by the train stage and by every cell of a study.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch

from stages.core.combinations import AT_ONCE
from stages.core.counts import counted
from stages.core.determinism import keep_freed_memory
from stages.core.device import memory_advice, precision_note, prepare, threads_note
from stages.core.errors import DivergedError
from stages.core.params import Params
from stages.datasets.pixels import Split
from stages.runs.unchanged import require_unchanged
from stages.tasks import task_of
from stages.training.checkpoint import Checkpoints, run_key
from stages.training.distributed import barrier, process_group
from stages.training.dry_run import SMALLER_BATCH, CompileGain, dry_run, measure_compile
from stages.training.engine import Engine
from stages.training.frozen import FrozenEngine, engine_for
from stages.training.loop import Trained, fit
from stages.training.probe import fit_at_once


@dataclass(frozen=True)
class Run:
    """A finished run.

    `params` are those that the weights were made with: precision differs from what was asked
    when `fell_back` gives the reason.
    """

    params: Params
    trained: Trained
    checkpoints: Checkpoints
    fell_back: str | None
    compile_gain: CompileGain | None


@contextmanager
def training(
    params: Params,
    splits: dict[str, Split],
    classes: int,
    inputs: dict[str, str],
    log: Callable[[str], None] = print,
) -> Iterator[Run]:
    """Train on `splits["train"]`, validating on `splits["val"]` when it has images.

    `inputs` names the hashes of what the run was made from (subset, machine): with the parameters
    and the code they decide which checkpoints are this run's. The run's lock is held, and its
    checkpoints are kept, until the caller has written the result and leaves the context.

    With `train.on_nonfinite: fp32` a run that diverges at lower precision starts anew from its
    seed in float32. Raises DivergedError, TrainingError, ModelError, and DeviceError, also when
    the device's memory is too small.
    """
    with process_group(prepare(params)) as device, ExitStack() as held:
        reason = None
        asked = held.enter_context(Checkpoints(run_key(params, inputs), log))
        try:
            run = _train_once(params, splits, classes, inputs, log, device, asked, reason)
        except DivergedError as error:
            if params.train.on_nonfinite != "fp32" or params.train.precision == "fp32":
                raise
            reason = f"diverged in epoch {error.epoch}, step {error.step}, at {error.precision}"
        if reason is not None:  # the error is gone, and with it the first run's memory
            log(f"{reason}: starting anew in fp32, as `train.on_nonfinite` asks")
            train = params.train.model_copy(update={"precision": "fp32"})
            params = params.model_copy(update={"train": train})
            anew = held.enter_context(Checkpoints(run_key(params, inputs), log))
            run = _train_once(params, splits, classes, inputs, log, device, anew, reason)
        yield run
        require_unchanged()  # a refused result is trained on from its checkpoint
        run.checkpoints.clear()
        asked.clear()


def _train_once(
    params: Params,
    splits: dict[str, Split],
    classes: int,
    inputs: dict[str, str],
    log: Callable[[str], None],
    device: torch.device,
    checkpoints: Checkpoints,
    fell_back: str | None,
) -> Run:
    keep_freed_memory()
    barrier()  # the first process holds the lock before any other reads
    with memory_advice(device, SMALLER_BATCH):
        identity = inputs.get("identity")
        engine = engine_for(
            params, task_of(params), splits["train"], classes, device, identity, log
        )
        dry_run(engine)
        if isinstance(engine, FrozenEngine) and params.finetune in AT_ONCE:
            trained = fit_at_once(engine, splits.get("val"), log)
            return Run(params, trained, checkpoints, fell_back, None)
        log(_announcement(engine))
        gain = measure_compile(engine) if params.train.compile else None
        if gain:
            log(
                f"compiled in {gain.compile_seconds:.0f} s; a step is "
                f"{gain.compile_speedup:.2f} times as fast as without"
            )
        trained = fit(engine, splits.get("val"), checkpoints, log)
    return Run(params, trained, checkpoints, fell_back, gain)


def _announcement(engine: Engine) -> str:
    """What is about to be trained, for whoever waits for the first epoch."""
    millions = sum(p.numel() for p in engine.model.parameters()) / 1e6
    train = engine.params.train
    fewer = (
        f"; `train.batch_size` is {train.batch_size:,}, so every step takes all the images"
        if engine.batch_size < train.batch_size
        else ""
    )
    if rest := engine.count % engine.batch_size:
        fewer += (
            f"; the last {rest:,} of an epoch are less than a batch and left out, others each time"
        )
    size = engine.built.notes.get("size")
    fewer += f"; images are shown at {size}" if size else ""
    slower = [precision_note(engine.device, train.precision), threads_note(engine.params.threads)]
    fewer += "".join(f"; {note}" for note in slower if note)
    return (
        f"training {engine.params.model} ({millions:.2f} M parameters) on "
        f"{counted(engine.count, 'image')}: {counted(train.epochs, 'epoch')} of "
        f"{counted(engine.steps_per_epoch, 'step')}, {train.precision} on {engine.device}{fewer}"
    )
