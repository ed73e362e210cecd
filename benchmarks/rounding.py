"""How far rounding carries in a network, against what one ULP on its first layer does.

`python benchmarks/rounding.py [MODEL …]` computes the first step of each model with oneDNN and
without it, on two threads and on one, and prints how far the gradients and the worst module are
apart as multiples of the yardstick that training records. `stages/comparison/inside.py` takes
its factor from here.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import stages  # noqa: E402, F401  # isort: skip  (settings that must precede torch)
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402

from stages.comparison.inside import Place, gradient_apart, gradient_limit, places_at  # noqa: E402
from stages.comparison.record import Record  # noqa: E402
from stages.core.params import parse_params  # noqa: E402
from stages.datasets.pixels import Split  # noqa: E402
from stages.tasks import task_of  # noqa: E402
from stages.training.engine import Engine  # noqa: E402
from stages.training.inside import INSIDE_COLUMNS, twin_rows, watching  # noqa: E402

MODELS = (
    "lenet_large", "resnet18", "resnet50", "shufflenet_v2_x0_5", "mobilenet_v3_small",
    "vit_2l_2h_128", "convnext_v2_tiny", "swin_tiny", "repvgg_a0", "mobileone_s0",
)  # fmt: skip
CLASSES, IMAGES, PX = 4, 64, 32


def first_step(model: str, threads: int) -> Record:
    """The recorded first step of a model, with its yardstick."""
    values = {"model": model, "threads": threads, "input_size": PX, "device": "cpu",
              "train": {"batch_size": 16, "augment": ["flip"]}}  # fmt: skip
    params = parse_params(values, "benchmark")
    torch.set_num_threads(threads)
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (IMAGES, 3, PX, PX)).astype(np.uint8)
    split = Split(pixels, np.arange(IMAGES) % CLASSES, [str(index) for index in range(IMAGES)])
    engine = Engine(params, task_of(params), split, CLASSES, torch.device("cpu"))
    engine.model.train()
    epoch = engine.epoch(1)
    twin = twin_rows(engine, epoch, 0)
    with watching(engine, 1) as inside:
        engine.gradients(epoch, 0)
    engine.update()
    return Record(model, inside=pd.DataFrame(inside.after_update(twin), columns=INSIDE_COLUMNS))


def worst(places: list[Place]) -> tuple[float, str]:
    """The module furthest apart as a multiple of the yardstick, where it is more than 1e-5."""
    far = [p for p in places if p.kind == "module" and p.apart > 1e-5]
    return max(((p.apart / max(p.rounding, 1e-12), p.name) for p in far), default=(0.0, "-"))


def main() -> None:
    """Print a line per model and machine."""
    for model in sys.argv[1:] or MODELS:
        plain = first_step(model, 2)
        for machine, threads, onednn in (("no oneDNN", 2, False), ("1 thread", 1, True)):
            torch.backends.mkldnn.enabled = onednn  # type: ignore[assignment]
            places = places_at(plain, first_step(model, threads), 1)
            torch.backends.mkldnn.enabled = True  # type: ignore[assignment]
            apart, ulp = gradient_apart(places) or 0.0, gradient_limit(places, 0.0) / 50
            times, name = worst(places)
            told = f"gradients {apart:.1e}, {apart / max(ulp, 1e-12):5.1f} times one ULP"
            print(f"{model:20} {machine:10} {told}; worst module {times:5.1f} times ({name})")


if __name__ == "__main__":
    main()
