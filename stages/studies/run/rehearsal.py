"""What the parts of a cell take on this machine, from a few steps on made-up pictures.

A real training of three epochs of two steps is timed, traced and not, with its validation and
checkpoints; what it learns is thrown away. Where a step is long it has a part of the recipe's
batch, and its times are scaled by images. Kept per machine, code and recipe, for all sizes and
seeds. Leaves adding the parts up to `estimate`.
"""

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from stages.core.combinations import FROZEN
from stages.core.device import prepare, synchronize
from stages.core.files import sha256_of_json
from stages.core.params import Params
from stages.core.paths import work_folder
from stages.core.records import read_record, write_record
from stages.runs.code import code_files, code_id

if TYPE_CHECKING:
    import torch

    from stages.datasets.pixels import Split
    from stages.training.batch import Epoch
    from stages.training.engine import Engine

TRAINING = "stages.training.run"
STEPS, TIMED_SECONDS = 2, 1.0
LONG_SECONDS = 4.0  # of a step: a rehearsal takes a dozen of them
FEW = 8  # images that tell whether it is so long
CLASSES = 10
BESIDES = ("seed", "subset", "profile", "dataset")  # of the parameters: they move no step


@dataclass(frozen=True)
class Pace:
    """Seconds: `start` until the first step, `step` of the recipe's batch, `traced` of a recorded
    step, `epoch` what an epoch takes besides steps and validation, `batch` of evaluation, `trunk`
    of one image through a frozen trunk, 0 where its features are not kept.
    """

    start: float
    step: float
    traced: float
    epoch: float
    batch: float
    trunk: float


def pace_of(params: Params, machine: str, log: Callable[[str], None]) -> Pace:
    """The pace of a recipe here, measured now unless it is kept. Raises as training does."""
    kept = pace_file(params, machine)
    if not kept.exists():
        log(f"measuring a step of {params.model} at {params.input_size} px")
        write_record(kept, asdict(measured_pace(params)))
    return Pace(**read_record(kept))


def pace_file(params: Params, machine: str) -> Path:
    """Where the pace of a recipe is kept."""
    decides = params.model_dump(mode="json", exclude=set(BESIDES)) | {
        "machine": machine,
        "parts": [part.name for part in fields(Pace)],  # a file of an earlier version has others
        "code": code_id(code_files(TRAINING, params)),
    }
    for key in ("epochs", "lr", "schedule", "warmup_epochs", "trace_steps"):
        del decides["train"][key]
    return work_folder() / "studies" / f"pace-{sha256_of_json(decides)[:20]}.json"


def measured_pace(params: Params) -> Pace:
    """The pace of a recipe, measured now. Raises as training does."""
    from stages.training.checkpoint import checkpoint_folder, run_key

    part = params if params.finetune in FROZEN else _with_batch(params, _images_of_step(params))
    scale = params.train.batch_size / part.train.batch_size
    evaluated = min(params.evaluate.batch_size, round(params.evaluate.batch_size / scale) + 1)
    rehearsed, inputs = _rehearsed(part), {"rehearsal": str(time.perf_counter())}
    try:
        pace = _pace_of_run(rehearsed, inputs, evaluated)
    finally:  # no later run would find its checkpoints, not even after an interrupt
        shutil.rmtree(checkpoint_folder(run_key(rehearsed, inputs)), ignore_errors=True)
    return replace(
        pace,
        step=scale * pace.step,
        traced=scale * pace.traced,
        batch=params.evaluate.batch_size / evaluated * pace.batch,
    )


def _images_of_step(params: Params) -> int:
    """The recipe's batch, or the part of it whose step takes no longer than LONG_SECONDS."""
    from stages.tasks import task_of
    from stages.training.engine import Engine

    whole, parts = params.train.batch_size, params.train.accumulate
    few = min(whole, parts * math.ceil(FEW / parts))  # a batch has equal parts
    small, device = _rehearsed(_with_batch(params, few, compile=False)), prepare(params)
    engine = Engine(small, task_of(small), _pictures(small, STEPS * few), CLASSES, device)
    engine.model.train()
    epoch = engine.epoch(1)
    seconds = min(_once(lambda: _step(engine, epoch), device) for _ in range(2))
    return min(whole, max(few, int(few * LONG_SECONDS / seconds) // parts * parts))


def _with_batch(params: Params, images: int, **changes: Any) -> Params:
    train = params.train.model_copy(update={"batch_size": images, **changes})
    return params.model_copy(update={"train": train})


def _pace_of_run(params: Params, inputs: dict[str, str], evaluated: int) -> Pace:
    from stages.training.run import training

    batch = params.train.batch_size
    splits = {"train": _pictures(params, STEPS * batch), "val": _pictures(params, evaluated)}
    ends: list[float] = []

    def note(line: str) -> None:
        if line.startswith("epoch "):
            ends.append(time.perf_counter())

    began = time.perf_counter()
    with training(params, splits, CLASSES, inputs, note) as run:
        engine, history = run.trained.engine, run.trained.progress.history
        took = time.perf_counter() - began
        engine.model.train()
        epoch = engine.epoch(1)
        step = _timed(lambda: _step(engine, epoch), engine.device)
        evaluator = engine.evaluator(splits["val"], "val")
        evaluation = _timed(lambda: evaluator(engine.model), engine.device)
        trunk = _trunk(engine, splits["val"])
    if len(ends) < len(history) or len(history) < 3:  # a head that was fitted at once
        return Pace(took, 0.0, 0.0, 0.0, evaluation, trunk)
    first, second, third = (float(row["seconds"]) for row in history)
    return Pace(
        start=max(0.0, ends[0] - began - first),
        step=step,
        traced=max(step, (second - evaluation) / STEPS),
        epoch=max(0.0, ends[2] - ends[1] - third),
        batch=evaluation,
        trunk=trunk,
    )


def _step(engine: "Engine", epoch: "Epoch") -> None:
    engine.gradients(epoch, 0)
    engine.update()


def _trunk(engine: "Engine", split: "Split") -> float:
    """Seconds per image: a rehearsal keeps no features, so each time they are computed anew."""
    from stages.training.frozen import FrozenEngine

    if not isinstance(engine, FrozenEngine):
        return 0.0
    return _timed(lambda: engine.features(split), engine.device) / len(split.labels)


def _rehearsed(params: Params) -> Params:
    """The recipe without given weights, at a rate that learns nothing and cannot diverge."""
    changes: dict[str, Any] = {
        "epochs": 3, "lr": 1e-9, "lr_backbone": None, "lr_head": None, "schedule": "constant",
        "warmup_epochs": 0, "trace_steps": 2 * STEPS, "early_stopping": None,
        "checkpoint_steps": None, "snapshots": False,
    }  # fmt: skip
    train = params.train.model_copy(update=changes)
    return params.model_copy(update={"train": train, "pretrained": False})


def _pictures(params: Params, count: int) -> "Split":
    import numpy as np

    from stages.datasets.pixels import Split

    shape = (count, 3, params.input_size, params.input_size)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return Split(pixels, np.arange(count) % CLASSES, [str(row) for row in range(count)])


def _timed(work: Callable[[], object], device: "torch.device") -> float:
    """The median of what `work` takes, over a second or three times."""
    taken = [_once(work, device)]
    while len(taken) < 3 or math.fsum(taken) < TIMED_SECONDS:
        taken.append(_once(work, device))
    return median(taken)


def _once(work: Callable[[], object], device: "torch.device") -> float:
    started = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - started
