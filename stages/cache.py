"""List what is cached under `.work`, or remove it.

What is removed is no result: decoded images, features and measured times are made again when
needed, and without the checkpoints of an interrupted training it begins anew. Left alone are those
of a training under way, and cells of a study that were submitted as jobs: nothing else has them
until they are gathered.
"""

import argparse
import shutil
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from stages.core.cli import reporting_errors
from stages.core.paths import SUBMITTED, work_folder


def main(clear: bool) -> int:
    """Print a line per entry with its size; when `clear`, remove what may go, and say so."""
    folder = work_folder()
    entries = sorted(folder.glob("*/*"))
    for entry in entries:
        megabytes = sum(map(_size_bytes, [entry, *entry.rglob("*")])) / 1e6
        done = f", {_cleared(entry) or 'removed'}" if clear else ""
        sys.stdout.write(f"{megabytes:10.1f} MB  {entry.relative_to(folder)}{done}\n")
    sys.stdout.write("" if entries else "nothing is cached\n")
    return 0


def _size_bytes(path: Path) -> int:
    """Nothing for a folder, nor for a file that a training under way replaced meanwhile."""
    with suppress(FileNotFoundError):
        return path.stat().st_size if path.is_file() else 0
    return 0


def _cleared(entry: Path) -> str:
    """Remove an entry; where it is kept, why."""
    from filelock import FileLock, Timeout

    if entry.parent.name == SUBMITTED:
        return "kept: cells submitted as jobs, which `python -m stages.study gather` brings"
    lock = entry / "lock"
    try:
        with FileLock(lock, timeout=0) if lock.exists() else nullcontext():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except Timeout:
        return "kept: a training under way holds it"
    return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m stages.cache", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--clear", action="store_true", help="remove what may be removed")
    arguments = parser.parse_args()
    sys.exit(reporting_errors(lambda: main(arguments.clear)))
