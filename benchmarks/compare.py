"""How long does `python -m stages.compare` take on two stored runs?

`python benchmarks/compare.py [A B] [--count 5]` compares two revisions (HEAD with itself unless
named) and two folders (the workspace with itself), each time in a new process. Tells the fastest
wall time and the processor time, which other work on the machine disturbs less.
"""

import argparse
import resource
import subprocess
import sys
import time


def compare_once(a: str, b: str) -> tuple[float, float]:
    """Wall and processor seconds of one comparison."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "stages.compare", a, b]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout:
        sys.exit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def main() -> None:
    """Compare, time, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", default=["HEAD", "HEAD"], metavar="RUN")
    parser.add_argument("--count", type=int, default=5)
    arguments = parser.parse_args()
    a, b = arguments.runs
    for what, pair in (("two revisions", (a, b)), ("two folders", (".", "."))):
        times = [compare_once(*pair) for _ in range(arguments.count)]
        wall, cpu = (min(column) for column in zip(*times, strict=True))
        print(f"{what}: {wall:.2f} s, of which {cpu:.2f} s of processor time")


if __name__ == "__main__":
    main()
