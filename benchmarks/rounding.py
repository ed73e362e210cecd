"""How far rounding carries in a network, against what one ULP on its first layer does.

`python benchmarks/rounding.py [MODEL …] [--precision bf16]` computes the first step of each model
with oneDNN and without it, on two threads and on one, and prints how far the gradients and the
worst module are apart, also as multiples of the yardstick that training records, and the worst
module without children that was fed equal bits. `stages/comparison/analysis/limits.py` takes
its limits from here.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import stages  # noqa: E402, F401  # isort: skip  (settings that must precede torch)
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

from stages.comparison.analysis.rounding import one_ulp_in_gradients, without_children  # noqa: E402
from stages.comparison.analysis.step_trace import Place, gradient_distance, places_at  # noqa: E402
from stages.core.params import parse_params  # noqa: E402
from stages.datasets.pixels import Split  # noqa: E402
from stages.runs.run import Run  # noqa: E402
from stages.runs.schema import INSIDE_COLUMNS  # noqa: E402
from stages.tasks import task_of  # noqa: E402
from stages.training.engine import Engine  # noqa: E402
from stages.training.step_trace import perturbed_rows, watching  # noqa: E402

MODELS = (
    "lenet_large", "resnet18", "resnet50", "shufflenet_v2_x0_5", "mobilenet_v3_small",
    "vit_2l_2h_128", "convnext_v2_tiny", "swin_tiny", "repvgg_a0", "mobileone_s0",
)  # fmt: skip
CLASSES, IMAGES, PX = 4, 64, 32


def first_step(model: str, threads: int, precision: str) -> Run:
    """The recorded first step of a model, with its yardstick."""
    values = {"model": model, "threads": threads, "input_size": PX, "device": "cpu",
              "train": {"batch_size": 16, "augment": ["flip"], "precision": precision}}  # fmt: skip
    params = parse_params(values, "benchmark")
    torch.set_num_threads(threads)
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (IMAGES, 3, PX, PX)).astype(np.uint8)
    split = Split(pixels, np.arange(IMAGES) % CLASSES, [str(index) for index in range(IMAGES)])
    engine = Engine(params, task_of(params), split, CLASSES, torch.device("cpu"))
    engine.model.train()
    epoch = engine.epoch(1)
    twin = perturbed_rows(engine, epoch, 0)
    with watching(engine, 1) as inside:
        engine.gradients(epoch, 0)
    engine.update()
    return Run(model, inside=pd.DataFrame(inside.after_update(twin), columns=INSIDE_COLUMNS))


def described(places: list[Place]) -> str:
    """Gradients, loss and worst module in one line; a yardstick of 0 gives no multiple."""
    ulp = one_ulp_in_gradients(places)
    distance = gradient_distance(places) or 0.0
    loss = max(p.distance for p in places if p.kind == "loss")
    alone = without_children(places)
    single = [p.distance for p in places if p.kind == "module" and p.name in alone and p.fed_alike]
    worst = max((p for p in places if p.kind == "module"), key=lambda place: place.distance)
    return (
        f"gradients {_times(distance, ulp)}, loss {loss:.1e}, "
        f"worst module {_times(worst.distance, worst.rounding)} ({worst.name}), "
        f"worst operation {max(single, default=0.0):.1e}"
    )


def _times(distance: float, ulp: float) -> str:
    return f"{distance:.1e}" + (f" ({distance / ulp:.1f} times one ULP)" if ulp > 0 else "")


def main() -> None:
    """Print a line per model and machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--precision", default="fp32")
    arguments = parser.parse_args()
    for model in arguments.models:
        plain = first_step(model, 2, arguments.precision)
        for machine, threads, onednn in (("no oneDNN", 2, False), ("1 thread", 1, True)):
            torch.backends.mkldnn.enabled = onednn  # type: ignore[assignment]
            places = places_at(plain, first_step(model, threads, arguments.precision), 1)
            torch.backends.mkldnn.enabled = True  # type: ignore[assignment]
            print(f"{model:20} {machine:10} {described(places)}", flush=True)


if __name__ == "__main__":
    main()
