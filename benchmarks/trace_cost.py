"""What does the trace cost, as a share of a training step and of a whole run?

    python benchmarks/trace_cost.py [--models lenet_large,resnet18] [--steps 12]

Plain and traced steps of the product's engine take turns; a traced one also hashes gradients and
weights tensor by tensor and takes the gradients' norm, as the first `train.trace_steps` steps of
a run do. Printed are medians, and the share of a run as long as `--run-steps`.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

PX, CLASSES = 32, 10


def turns(model: str, precision: str, batch_size: int, steps: int) -> tuple[float, float]:
    """Median seconds of a step, and of what tracing adds to one."""
    import torch
    from contenders import images_and_labels

    from stages.core.params import parse_params
    from stages.datasets.pixels import Split
    from stages.tasks import task_of
    from stages.training.determinism import keep_freed_memory, set_determinism
    from stages.training.engine import Engine
    from stages.training.trace import grad_norm, hash_gradients, record_step

    keep_freed_memory()
    set_determinism(True, torch.device("cpu"))
    train = {"batch_size": batch_size, "precision": precision}
    params = parse_params({"model": model, "input_size": PX, "train": train}, "benchmark")
    pixels, labels = images_and_labels()
    split = Split(pixels.transpose(0, 3, 1, 2).copy(), labels, [])
    engine = Engine(params, task_of(params), split, CLASSES, torch.device("cpu"))
    engine.model.train()
    epoch = engine.epoch(1)
    plain, added = [], []
    for index in range(2 + steps):
        started = time.perf_counter()
        loss = float(engine.gradients(epoch, index).loss)
        stepped = time.perf_counter()
        hashes, norm = hash_gradients(engine.model), grad_norm(engine.model)
        traced = time.perf_counter()
        engine.update()
        updated = time.perf_counter()
        record_step(engine.model, hashes, index + 1, 1, loss, norm)
        ended = time.perf_counter()
        plain.append(stepped - started + updated - traced)
        added.append(traced - stepped + ended - updated)
    return median(plain[2:]), median(added[2:])


def main() -> None:
    """Measure each model and print a line for it."""
    from stages.core.params import Params

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default="lenet_small,lenet_large,mobilenet_v3,resnet18")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12, help="measured per model")
    parser.add_argument("--run-steps", type=int, default=4000, help="length of a whole run")
    options = parser.parse_args()
    traced = Params().train.trace_steps
    print(f"{'':20}{'step, ms':>10}{'trace, ms':>11}{'of a step':>11}{'of the run':>12}")
    for model in options.models.split(","):
        step, added = turns(model, options.precision, options.batch_size, options.steps)
        whole = added * min(traced, options.run_steps) / (step * options.run_steps)
        print(
            f"{model:20}{step * 1e3:>10.1f}{added * 1e3:>11.2f}{added / step:>11.1%}{whole:>12.2%}",
            flush=True,
        )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
