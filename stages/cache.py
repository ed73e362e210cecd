"""List what is cached under `.work` (decoded images, checkpoints), or remove it.

Nothing there is a result: decoded images are made again when needed, and removing the checkpoints
of an interrupted training has it begin anew. Those of a training under way are left alone.
"""

import argparse
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

from stages.core.cli import reporting_errors
from stages.core.paths import work_folder


def main(clear: bool) -> int:
    """Print a line per entry with its size; when `clear`, remove all that no process holds."""
    folder = work_folder()
    entries = sorted(folder.glob("*/*"))
    for entry in entries:
        files = [entry] if entry.is_file() else [p for p in entry.rglob("*") if p.is_file()]
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        kept = ", kept: a training under way holds it" if clear and not _removed(entry) else ""
        sys.stdout.write(f"{megabytes:10.1f} MB  {entry.relative_to(folder)}{kept}\n")
    sys.stdout.write("removed\n" if clear and entries else "" if entries else "nothing is cached\n")
    return 0


def _removed(entry: Path) -> bool:
    """Remove an entry; False when a process holds its lock."""
    from filelock import FileLock, Timeout

    lock = entry / "lock"
    try:
        with FileLock(lock, timeout=0) if lock.exists() else nullcontext():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except Timeout:
        return False
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.cache", description=__doc__)
    parser.add_argument("--clear", action="store_true", help="remove everything listed")
    arguments = parser.parse_args()
    sys.exit(reporting_errors(lambda: main(arguments.clear)))
