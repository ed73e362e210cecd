"""List what is cached under `.work` (decoded images, checkpoints), or remove it.

Nothing there is a result: decoded images are made again when needed, and removing a checkpoint
loses the training under way that it belongs to.
"""

import argparse
import shutil
import sys

from stages.core.cli import reporting_errors
from stages.core.paths import work_folder


def main(clear: bool) -> int:
    """Print a line per entry with its size, and remove all of them when `clear`."""
    folder = work_folder()
    entries = sorted(folder.glob("*/*"))
    for entry in entries:
        files = [entry] if entry.is_file() else [p for p in entry.rglob("*") if p.is_file()]
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        sys.stdout.write(f"{megabytes:10.1f} MB  {entry.relative_to(folder)}\n")
    if clear and folder.exists():
        shutil.rmtree(folder)
    sys.stdout.write("removed\n" if clear and entries else "" if entries else "nothing is cached\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.cache", description=__doc__)
    parser.add_argument("--clear", action="store_true", help="remove everything listed")
    arguments = parser.parse_args()
    sys.exit(reporting_errors(lambda: main(arguments.clear)))
