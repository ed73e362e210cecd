"""Is our stopwatch right? Eager latency and throughput against timm's protocol, in one run.

timm's benchmark script is not part of its package, so its protocol is followed here: `no_grad`,
10 calls to warm up, each call timed from a plain clock to a synchronised one. Both stopwatches are
held to the same network in turns, call by call and block by block, so that what else the machine
does falls on both; latencies are medians and throughputs means, as timm has them. Then all
variants are timed by the profiler's grid, and the best of them is held against eager.

    python benchmarks/profile_against_timm.py resnet50 vit_small_patch16_224 --px 224
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from statistics import mean, median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import stages  # noqa: F401, I001  (settings that must precede torch)
import torch
from torch import nn

from stages.core.device import choose_device, synchronize
from stages.measures.profiling.best import best_variant
from stages.measures.profiling.cells import Cell, inference_cells
from stages.measures.profiling.grid import Plan, time_cells
from stages.measures.profiling.memory_budget import Forecast
from stages.measures.profiling.try_measure import try_measure
from stages.measures.profiling.reparameterize import calibrate
from stages.measures.profiling.profiled_model import ProfiledModel, noise
from stages.measures.profiling.throughput import images_per_second
from stages.measures.profiling.timing import Call, clock_of, timed_calls, warm_up
from stages.measures.profiling.variants import eager, make_variant

MODELS = [
    "resnet18", "resnet50", "mobilenetv3_large_100", "efficientnet_b0", "convnext_atto",
    "vit_tiny_patch16_224", "repvgg_a0", "mobileone_s0",
]  # fmt: skip
VARIANTS = ["channels_last", "bf16", "compile", "onnx", "reparameterized", "reparameterized+onnx"]
WARM_UP = 10
TURNS = 9


def timm_seconds(call: Call, calls: int, device: torch.device) -> list[float]:
    """Seconds of each call, as timm takes them: the clock waits for the device at the end alone."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        synchronize(device)
        times.append(time.perf_counter() - start)
    return times


def compare(
    model: nn.Module, images: torch.Tensor, plan: Plan, device: torch.device
) -> tuple[float, float, float, float]:
    """Median milliseconds and images per second by timm's protocol, and ours over theirs."""

    @torch.no_grad()
    def theirs() -> torch.Tensor:
        return model(images)

    @torch.inference_mode()
    def ours() -> torch.Tensor:
        return model(images)

    timm_seconds(theirs, WARM_UP, device)
    warm_up(ours, plan.clock, plan.seconds)
    our_calls, their_calls, rates = [], [], []
    deadline = time.perf_counter() + plan.seconds
    while time.perf_counter() < deadline:  # call by call in turns
        our_calls += timed_calls(ours, plan.clock, 0.0)
        their_calls += timm_seconds(theirs, 1, device)
    seconds = plan.seconds / TURNS
    calls = max(1, round(seconds / median(their_calls)))
    for _ in range(TURNS):  # block by block in turns
        fresh = timed_calls(ours, plan.clock, seconds)
        rate = images_per_second(ours, fresh, len(images), plan.clock, seconds, plan.threads)
        rates.append((rate, len(images) / mean(timm_seconds(theirs, calls, device))))
    return (
        1e3 * median(their_calls),
        median(their_rate for _, their_rate in rates),
        median(our_calls) / median(their_calls),
        median(rate / their_rate for rate, their_rate in rates),
    )


def all_variants(
    subject: ProfiledModel, sizes: list[int], plan: Plan, device: torch.device
) -> list[Cell]:
    """The profiler's grid of one model: eager and every variant at every batch size."""
    base = eager(subject.model, device, plan.threads)
    example = subject.batch(2)[0]
    made = [(name, *try_measure(partial(make_variant, name, base, example))) for name in VARIANTS]
    cells = inference_cells(subject, [("eager", base, None), *made], sizes, Forecast(0.0, 0.0))
    time_cells(cells, plan, lambda: None)
    return cells


def main() -> None:
    """Print a Markdown row per model and batch size; failed or noisy cells follow as comments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS, help="names of timm")
    parser.add_argument("--px", type=int, default=128)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    device = choose_device(options.device)
    plan = Plan(options.seconds, 5, clock_of(device), torch.get_num_threads())
    print(f"{device}, {plan.threads} threads, torch {torch.__version__}, {options.px} px")
    heads = ["model", "batch", "timm (ms)", "ours / timm", "timm (images/s)", "ours / timm",
             "best variant", "times as fast as eager"]  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name in options.models:
        report(name, options.px, options.batch_sizes, plan, device)


def report(name: str, px: int, sizes: list[int], plan: Plan, device: torch.device) -> None:
    """Measure and print one model."""
    import timm

    torch.compiler.reset()
    sized = {"img_size": px} if timm.get_pretrained_cfg(name).fixed_input_size else {}
    model = timm.create_model(name, num_classes=1000, **sized)
    subject = ProfiledModel(
        name, calibrate(model, (noise(8, px, 1000)[0],)), px,
        lambda count: ((noise(count, px, 1000)[0],), None), nn.functional.cross_entropy,
    )  # fmt: skip
    cells = all_variants(subject, sizes, plan, device)
    bases = {cell.batch_size: cell for cell in cells if cell.variant == "eager"}
    rows = [cell.row(bases[cell.batch_size]) for cell in cells]
    placed = subject.model.to(device)
    for size in sizes:
        images = noise(size, px, 1000)[0].to(device)
        milliseconds, rate, latency_ratio, rate_ratio = compare(placed, images, plan, device)
        best = best_variant(rows, size)
        print(
            f"| {name} | {size} | {milliseconds:.2f} | {latency_ratio:.3f} | {rate:.1f} "
            f"| {rate_ratio:.3f} | {best['variant']} | {best['speedup']:.2f} |", flush=True,
        )  # fmt: skip
    for row in rows:
        if row["note"]:
            print(
                f"<!-- {name} {row['variant']} {row['batch_size']}: {row['note']} -->", flush=True
            )


if __name__ == "__main__":
    main()
