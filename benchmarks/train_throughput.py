"""How fast is our training loop beside what one would write, and beside timm's?

    python benchmarks/train_throughput.py [--models lenet_large,resnet18] [--rounds 3]

Every contender trains the same network, from the same weights, on the same 10,000 images of 32 px
in memory, with random crop, flip and AdamW, at the same batch size and on all threads:

- ours: the step of `stages.training`, in float32 and in bfloat16;
- plain: the same with `train.fast_kernels: false`;
- loader2, loader0: a plain loop over torchvision's transforms on PIL images in a DataLoader with
  2 workers and with none, in float32;
- timm: timm's loader, classification task, optimiser and scheduler, put together as its training
  script does, with no workers (the faster choice on two cores), at both precisions.

Each contender is a process of its own, so that no allocator setting or thread pool is shared; they
take turns within one run, so that a change in the machine's load hits all alike. A turn runs a few
steps untimed and then times at least `--seconds`. Printed are medians over the rounds in images
per second and the ratios: ours at its better precision over the loaders (as one would compare two
ways of getting a network trained), ours over timm at equal precision, the worse of the two, and
ours over plain. `share` is the arithmetic of our steps (three forward passes' products) as a share
of the machine's best rate at that precision, measured beside: a product of 2048x2048 matrices or a
3x3 convolution of 128 channels at 16x16. At the default settings a model takes about a minute on
two quiet cores, DeiT-S four.
Loading images from disk is left out: all contenders start from pixels in memory.
"""

import argparse
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import geometric_mean, median

from contenders import CONTENDERS, best_rates, training_gflop

MODELS = (
    "lenet_small",
    "lenet_large",
    "mobilenet_v3",
    "shufflenet_v2_x0_5",
    "resnet50",
    "resnet18",
    "vit_4l_4h_256",
    "convnext_v2_tiny",
    "swin_tiny",
    "efficientnet_v2_s",
    "repvgg_a0",
    "mobileone_s0",
    "deit_small",
)
PRECISIONS = ("fp32", "bf16")
RATIOS = ("/loader2", "/loader0", "/timm", "/plain fp32", "/plain bf16")


def contend(name: str, model: str, options: argparse.Namespace, pipe: Connection) -> None:
    """The life of a contender's process: get ready, then a turn per message until it is killed."""
    make, settings = CONTENDERS[name]
    step = make(model, options.batch_size, **settings)
    pipe.send("ready")
    while pipe.recv():
        started = time.perf_counter()
        for _ in range(3):  # batches fetched ahead and caches gone cold
            step()
            if time.perf_counter() - started > options.seconds:
                break
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < options.seconds or steps < 1:
            step()
            steps += 1
        pipe.send(steps * options.batch_size / (time.perf_counter() - started))


def measure(model: str, options: argparse.Namespace) -> dict[str, float]:
    """Median images per second of every contender on a model, from rounds of turns."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name in CONTENDERS:
        pipes[name], theirs = context.Pipe()
        process = context.Process(target=contend, args=(name, model, options, theirs))
        process.start()
        theirs.close()
        processes.append(process)
    turns: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    try:
        for pipe in pipes.values():
            pipe.recv()
        for _ in range(options.rounds):
            for name, pipe in pipes.items():
                pipe.send(True)
                turns[name].append(pipe.recv())
    except (EOFError, BrokenPipeError):
        sys.exit(f"{model}: a contender was ended, by lack of memory it seems; --batch-size 64?")
    finally:  # they would wait for ever, and hold gigabytes
        for process in processes:
            process.kill()
            process.join()
    return {name: median(values) for name, values in turns.items()}


def shares(model: str, speed: dict[str, float], rates: dict[str, float]) -> dict[str, float]:
    """Our arithmetic as a share of the machine's best, by precision; `rates` keeps that of the run.

    Other work beside one measurement would make it low, and the share more than there is.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        for precision, rate in apart.submit(best_rates).result().items():
            rates[precision] = max(rate, rates.get(precision, 0.0))
        gflop = apart.submit(training_gflop, model).result()
    return {f"share {p}": speed[f"ours {p}"] * gflop / rates[p] for p in PRECISIONS}


def ratios(speed: dict[str, float]) -> dict[str, float]:
    """What the targets are about; see the head of this file."""
    best = max(speed["ours fp32"], speed["ours bf16"])
    return {
        "/loader2": best / speed["loader2"],
        "/loader0": best / speed["loader0"],
        "/timm": min(speed[f"ours {p}"] / speed[f"timm {p}"] for p in PRECISIONS),
    } | {f"/plain {p}": speed[f"ours {p}"] / speed[f"plain {p}"] for p in PRECISIONS}


def main() -> None:
    """Measure, print a table as it grows, and write the figures as JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS), help="comma-separated")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=0.7, help="timed per turn, at least")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    print(row("images/s", [*CONTENDERS, *RATIOS, *(f"share {p}" for p in PRECISIONS)]))
    speeds: dict[str, dict[str, float]] = {}
    parts: dict[str, dict[str, float]] = {}
    rates: dict[str, float] = {}
    for model in options.models.split(","):
        speeds[model] = measure(model, options)
        cells = [f"{speed:,.0f}" for speed in speeds[model].values()]
        parts[model] = shares(model, speeds[model], rates)
        cells += [f"{ratio:.2f}" for ratio in ratios(speeds[model]).values()]
        print(row(model, cells + [f"{s:.0%}" for s in parts[model].values()]), flush=True)
    means = {
        name: geometric_mean(ratios(speed)[name] for speed in speeds.values()) for name in RATIOS
    }
    print(
        row("geometric mean", [""] * len(CONTENDERS) + [f"{mean:.2f}" for mean in means.values()])
    )
    if options.json:
        options.json.write_text(
            json.dumps({"images_per_second": speeds, "ratios": means, "shares": parts}, indent=1)
        )


def row(title: str, cells: list[str]) -> str:
    """A line of the table."""
    return f"{title:20}" + "".join(f"{cell:>11}" for cell in cells)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
