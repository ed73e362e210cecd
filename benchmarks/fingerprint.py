"""Is the fingerprint the same every time, and how long does it take?

`python benchmarks/fingerprint.py [--count 100]` starts the stage that many times, each in a new
process and an empty folder, and compares the files byte by byte.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = tuple(f"metrics/{name}.json" for name in ("identity", "machine", "hardware", "numerics"))


def start_once() -> tuple[float, bytes]:
    """Seconds and the bytes of all files of one fingerprint."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "params.yaml").write_text("{}")
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "stages.fingerprint"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        seconds = time.perf_counter() - began
        return seconds, b"".join((Path(folder) / name).read_bytes() for name in FILES)


def main() -> int:
    """Start, compare, tell; 0 when all are identical."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    results = [start_once() for _ in range(count)]
    same = sum(content == results[0][1] for _, content in results)
    seconds = sorted(seconds for seconds, _ in results)
    print(f"{same} of {count} identical; seconds: fastest {seconds[0]:.2f}, "
          f"median {seconds[count // 2]:.2f}, slowest {seconds[-1]:.2f}")  # fmt: skip
    return int(same < count)


if __name__ == "__main__":
    sys.exit(main())
