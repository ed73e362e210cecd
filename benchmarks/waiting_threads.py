"""How long should OpenMP threads spin before they sleep, on a quiet and on a busy machine?

    python benchmarks/waiting_threads.py [--model shufflenet_v2_x0_5] [--busy 0,1,6]

Trains with the product's step, in a process per setting (they are read when PyTorch loads), while
`--busy` other processes do nothing but compute. Settings take turns; printed are medians over the
rounds in images per second. `stages/__init__.py` sets what this table recommends.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

SETTINGS = {
    "asleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
    "1,000 turns": {"GOMP_SPINCOUNT": "1000"},
    "3,000 turns": {"GOMP_SPINCOUNT": "3000"},
    "10,000 turns": {"GOMP_SPINCOUNT": "10000"},
    "OpenMP's own choice": {"GOMP_SPINCOUNT": "300000"},
    "never asleep": {"OMP_WAIT_POLICY": "ACTIVE"},
}


def train(model: str, precision: str, batch_size: int, seconds: float) -> float:
    """Images per second of the product's step, after two untimed steps."""
    from contenders import ours

    step = ours(model, batch_size, precision)
    step(), step()
    steps, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds or steps < 2:
        step()
        steps += 1
    return steps * batch_size / (time.perf_counter() - started)


def compute_for_ever() -> None:
    """A process that is always ready to run."""
    while True:
        pass


def in_a_process(options: argparse.Namespace, setting: dict[str, str]) -> float:
    """The same under a setting."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, __file__, "--once", "--model", options.model]
    command += ["--precision", options.precision, "--seconds", str(options.seconds)]
    done = subprocess.run(
        command, env=kept | setting, check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Measure every setting beside every number of busy processes, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="shufflenet_v2_x0_5")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=3.0, help="timed per turn, at least")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy", default="0,1,6", help="numbers of other busy processes")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(train(options.model, options.precision, options.batch_size, options.seconds))
        return
    print(f"{'busy processes':16}" + "".join(f"{name:>21}" for name in SETTINGS))
    for busy in (int(count) for count in options.busy.split(",")):
        others = [multiprocessing.Process(target=compute_for_ever) for _ in range(busy)]
        for process in others:
            process.start()
        turns = [
            [in_a_process(options, s) for s in SETTINGS.values()] for _ in range(options.rounds)
        ]
        for process in others:
            process.kill()
        print(f"{busy:<16}" + "".join(f"{median(t):>21,.0f}" for t in zip(*turns, strict=True)))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
