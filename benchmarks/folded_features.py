"""What folding batch norms is worth to the pass of pictures through a frozen trunk.

    python benchmarks/folded_features.py [--px 128] [--images 500] [--rounds 3]

Pictures of noise go through each packaged backbone as it is and folded, in turns in one process on
all threads. Told are images per second, medians over the rounds, the median of the rounds' ratios,
and by how much features differ, relative to the largest.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages.core.determinism import keep_freed_memory  # noqa: E402
from stages.core.params import parse_params  # noqa: E402
from stages.datasets.pixels import Split  # noqa: E402
from stages.tasks import task_of  # noqa: E402
from stages.training import features  # noqa: E402
from stages.training.engine import view_of  # noqa: E402
from stages.training.frozen import FrozenEngine  # noqa: E402
from stages.training.inference import Evaluator  # noqa: E402

MODELS = ("mobilenet_v2", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def noise(count: int, px: int) -> Split:
    """Pictures of noise in ten classes."""
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (count, 3, px, px)).astype(np.uint8)
    return Split(pixels, np.arange(count) % 10, [str(row) for row in range(count)])


def main() -> None:
    """Take turns, print a row per backbone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--px", type=int, default=128)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    keep_freed_memory()  # as training does
    split, device = noise(options.images, options.px), torch.device("cpu")
    ways = {"as it is": lambda model, show: model, "folded": features.folded}
    print("| backbone | as it is, images/s | folded | ratio | largest difference |")
    print("|---|--:|--:|--:|--:|")
    for model in MODELS:
        asked = {"model": model, "pretrained": True, "finetune": "probe", "input_size": options.px}
        params = parse_params(asked, "benchmark")
        engine = FrozenEngine(
            params, task_of(params), noise(10, options.px), 10, device, None, None
        )
        shown = Evaluator(engine.task, split, view_of(engine), device, 0, "features")
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        made = {}
        for _ in range(options.rounds):
            for way, fold in ways.items():
                features.folded = fold
                began = time.perf_counter()
                made[way] = features.through_trunk(engine.model, engine.head_name, shown)
                seconds[way].append(time.perf_counter() - began)
        plain, folded = seconds.values()
        ratio = median(slow / quick for slow, quick in zip(plain, folded, strict=True))
        rates = " | ".join(f"{options.images / median(times):.0f}" for times in (plain, folded))
        apart = float((made["folded"] - made["as it is"]).abs().max() / made["as it is"].max())
        print(f"| {model} | {rates} | {ratio:.2f} | {apart:.0e} |", flush=True)


if __name__ == "__main__":
    main()
