"""What does the record of a run cost, as a share of its training?

    python benchmarks/trace_cost.py [--models lenet_large,resnet18] [--epochs 20]

Trains as the train stage does, with the default `train.trace_steps` and `train.snapshots`, once for
`--epochs` and once for twice as long, and adds up the processor time spent on recording: hashes of
data, gradients and weights, the inside of the kept steps, the one-ULP rehearsal, snapshots and the
weights at milestones. Most of it falls into the first `train.trace_steps` steps; what the second
half costs tells the rest, and both together what the share is of a training of ten minutes.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

PX, CLASSES, STEPS_PER_EPOCH = 32, 10, 20
TEN_MINUTES = 600.0
RECORDING = {
    "stages.training.recorder.Recorder": ("start", "before_step", "after_backward", "after_update",
                                          "flush", "close_epoch", "finish"),
    "stages.training.step_trace.Inside": ("add",),
    "stages.training.engine": ("step_data",),
}  # fmt: skip


class Stopwatch:
    """Processor time in functions that it watches, those inside one another counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def watch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added up."""

        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            self._depth += 1
            try:
                return function(*arguments, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.process_time() - started

        return timed


def cost(model: str, precision: str, batch_size: int, epochs: int) -> tuple[int, float, float]:
    """Steps of a run, and the processor time in s of its training and of recording it."""
    from contenders import images_and_labels

    from stages.core.params import parse_params
    from stages.datasets.pixels import Split
    from stages.training.run import training

    train = {"batch_size": batch_size, "precision": precision, "epochs": epochs}
    params = parse_params({"model": model, "input_size": PX, "train": train}, "benchmark")
    pixels, labels = images_and_labels()
    count = STEPS_PER_EPOCH * batch_size
    split = Split(pixels[:count].transpose(0, 3, 1, 2).copy(), labels[:count], [])
    stopwatch = Stopwatch()
    with ExitStack() as held:
        os.environ["DVC_ROOT"] = held.enter_context(tempfile.TemporaryDirectory())
        for place, names in RECORDING.items():
            for name in names:
                watched = stopwatch.watch(_found(place, name))
                held.enter_context(patch(f"{place}.{name}", watched))
        inputs = {"data": "benchmark"}
        started = time.process_time()
        run = held.enter_context(training(params, {"train": split}, CLASSES, inputs, _silent))
        whole = time.process_time() - started
        return run.trained.progress.steps, whole - stopwatch.seconds, stopwatch.seconds


def _found(place: str, name: str) -> Callable[..., Any]:
    from pkgutil import resolve_name

    module, _, owner = place.rpartition(".")
    found = resolve_name(f"{module}:{owner}" if owner[0].isupper() else place)
    return getattr(found, name)  # type: ignore[no-any-return]


def _silent(line: str) -> None:
    """What the run says of its epochs."""


def main() -> None:
    """Train each model once and print a line for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default="lenet_small,lenet_large,mobilenet_v3")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20, help=f"of {STEPS_PER_EPOCH} steps")
    options = parser.parse_args()
    print(f"{'':20}{'steps':>8}{'training, s':>13}{'record, s':>11}{'share':>8}{'10 minutes':>12}")
    for model in options.models.split(","):
        lengths = (options.epochs, 2 * options.epochs)
        runs = [cost(model, options.precision, options.batch_size, epochs) for epochs in lengths]
        (_, short, less), (_, long, more) = runs
        growing = max(0.0, more - less) / (long - short)  # per second of training
        shares = ("", f"{(more + growing * (TEN_MINUTES - long)) / TEN_MINUTES:.2%}")
        for (steps, plain, added), share in zip(runs, shares, strict=True):
            row = f"{model:20}{steps:>8}{plain:>13.1f}{added:>11.2f}{added / plain:>8.2%}"
            print(f"{row}{share:>12}", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
