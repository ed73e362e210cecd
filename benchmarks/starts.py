"""What a process of a stage costs before and after its work: imports, and the end of Python.

    python benchmarks/starts.py [--rounds 5]

Each set of packages is loaded in fresh processes, in turns with Python's own garbage collection and
as `stages` sets it. Told are medians in seconds: from the start of Python until all is loaded, and
from there to the end of the process.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torch", "torch, timm", "torch, timm, sklearn.linear_model")
COLLECTION = {"Python's": "", "as set": "import stages; "}


def timed(packages: str, before: str) -> tuple[float, float]:
    """Seconds of one process until it has loaded the packages, and from then to its end."""
    code = f"import pandas; {before}import {packages}; print('loaded', flush=True)"
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        loaded = time.perf_counter()
    return loaded - started, time.perf_counter() - loaded


def main() -> None:
    """Print a Markdown row per set of packages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| loaded | collection | start (s) | end (s) |\n|---|---|--:|--:|")
    for packages in PACKAGES:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in COLLECTION}
        for _ in range(rounds):
            for name, before in COLLECTION.items():
                found[name].append(timed(packages, before))
        for name, times in found.items():
            start, end = (median(one) for one in zip(*times, strict=True))
            print(f"| {packages} | {name} | {start:.2f} | {end:.2f} |", flush=True)


if __name__ == "__main__":
    main()
