"""What git prints, as text whatever the locale is.

Leaves reading a run out of a revision to `runs.sources`.
"""

import subprocess
from pathlib import Path

from stages.core.errors import RunError


def git(*words: str) -> str:
    """What a git command prints. Raises RunError with git's reason, or for want of it."""
    try:
        done = _run(Path(), words)
    except FileNotFoundError:
        raise RunError("git is not installed, or not on PATH. Install it and try again.") from None
    if done.returncode:
        lines = done.stderr.split("\n")
        told = done.stderr if len(lines) < 6 else f"{lines[0]} … {' '.join(lines[-3:])}"
        raise RunError(f"`git {' '.join(words)}` failed: {' '.join(told.split())}")
    return done.stdout.strip()


def git_or_none(*words: str, folder: Path = Path()) -> str | None:
    """What a git command prints in a folder; None where git refuses or is not installed."""
    try:
        done = _run(folder, words)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def _run(folder: Path, words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True, check=False, encoding="utf-8", errors="replace",
    )  # fmt: skip
