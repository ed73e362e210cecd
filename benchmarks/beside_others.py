"""How much of its fair share of a busy machine does the training loop keep?

    python benchmarks/beside_others.py [--models lenet_large,resnet18] [--busy 4] [--precision bf16]

Each model trains in a process of its own (the product's step at 32 px), alone and beside `--busy`
processes that do nothing but compute, in turns. Threads that wait for one another can lose far more
than what the others take: a loop that shares a machine of `cores` cores with them deserves
`cores / (cores + busy)` of its speed alone, as each of its threads is one process more to run.
Printed are medians in images per second, the fair share, and how much of it was kept, with the fast
kernels and, as `plain`, without them.
"""

import argparse
import json
import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import geometric_mean, median

from train_throughput import MODELS, contend, row
from waiting_threads import compute_for_ever

LOOPS = {"fast": "ours", "plain": "plain"}


def turn(pipe: Connection, busy: int) -> float:
    """Images per second of a turn beside `busy` processes."""
    others = [multiprocessing.Process(target=compute_for_ever) for _ in range(busy)]
    for process in others:
        process.start()
    pipe.send(True)
    speed = float(pipe.recv())
    for process in others:
        process.kill()
        process.join()
    return speed


def measure(model: str, loop: str, options: argparse.Namespace) -> tuple[float, float]:
    """Median images per second alone and beside others."""
    pipe, theirs = multiprocessing.get_context("spawn").Pipe()
    name = f"{LOOPS[loop]} {options.precision}"
    process = multiprocessing.get_context("spawn").Process(
        target=contend, args=(name, model, options, theirs)
    )
    process.start()
    pipe.recv()
    turns = [(turn(pipe, 0), turn(pipe, options.busy)) for _ in range(options.rounds)]
    process.kill()
    process.join()
    alone, beside = zip(*turns, strict=True)
    return median(alone), median(beside)


def main() -> None:
    """Measure, print a table as it grows, and write the figures as JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default=",".join(MODELS[:9]), help="comma-separated")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16"])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--busy", type=int, default=4, help="other processes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="timed per turn, at least")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    fair = cores / (cores + options.busy)
    print(f"{options.precision}, {options.busy} others, {cores} cores: a fair share is {fair:.0%}")
    print(row("", [f"{loop} {w}" for loop in LOOPS for w in ("alone", "beside", "kept")]))
    kept: dict[str, dict[str, float]] = {loop: {} for loop in LOOPS}
    for model in options.models.split(","):
        cells = []
        for loop in LOOPS:
            alone, beside = measure(model, loop, options)
            kept[loop][model] = beside / alone / fair
            cells += [f"{alone:,.0f}", f"{beside:,.0f}", f"{kept[loop][model]:.0%}"]
        print(row(model, cells), flush=True)
    means = [geometric_mean(kept[loop].values()) for loop in LOOPS]
    print(row("geometric mean", [c for mean in means for c in ("", "", f"{mean:.0%}")]))
    if options.json:
        options.json.write_text(json.dumps({"fair": fair, "kept": kept}, indent=1))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
