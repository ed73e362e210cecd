"""How soon does predict give its first answer, and how many pictures does it answer a second?

    python benchmarks/predict.py PICTURES [--run REVISION] [--rounds 5]

PICTURES is a folder or zip; one of it, and then all, are asked of the run's model by the command
itself. The first answer is timed from the start of Python to the first line, medians are told, and
the rate is that of the pictures beyond the first.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from stages.deployment.pictures import find_pictures  # noqa: E402


def asked(pictures: Path, run: str) -> tuple[float, float, int]:
    """Seconds to the first line and to the end, and how many lines came."""
    words = [sys.executable, "-m", "stages.predict", str(pictures), "--top", "1", "--run", run]
    started = time.perf_counter()
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as predict:
        assert predict.stdout is not None
        predict.stdout.readline()
        first = time.perf_counter() - started
        lines = 1 + len(predict.stdout.readlines())
    if predict.returncode:
        sys.exit(predict.returncode)
    return first, time.perf_counter() - started, lines


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, metavar="PICTURES")
    parser.add_argument("--run", default="workspace", metavar="REVISION")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    every = find_pictures([str(options.pictures)])
    if len(every.names) < 2:
        parser.error(f"{options.pictures} holds one picture; a rate takes more")
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder, "one").with_suffix(Path(every.names[0]).suffix)
        one.write_bytes(every.content(0))
        alone, whole = [], []
        for _ in range(options.rounds):
            alone.append(asked(one, options.run))
            whole.append(asked(options.pictures, options.run))
    first, ends = (median(times) for times in list(zip(*alone, strict=True))[:2])
    seconds = median(end for _, end, _ in whole) - ends
    count = whole[0][2] - 1
    print(f"first answer after {first:.2f} s, end after {ends:.2f} s")
    print(f"{count:,} more pictures in {seconds:.2f} s: {count / seconds:,.0f} a second")


if __name__ == "__main__":
    main()
