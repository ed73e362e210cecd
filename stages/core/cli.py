"""The shell around a command: one paragraph per error, an exit status.

Exit status 0 done, 1 a user's error, 2 wrong arguments (argparse), 130 interrupted.
"""

import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from stages.core.errors import STORAGE_ERRORS, UserError


def reporting_errors(work: Callable[[], int]) -> int:
    """Call `work` and return its exit status, or print what the user must know and return ours."""
    try:
        with _terminating_like_an_interrupt():
            return work()
    except UserError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        _complain(
            "Interrupted. Nothing unfinished counts as a result; run the same command again: "
            "where it trains, it goes on from the last checkpoint."
        )
        return 130
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        where = str(error.filename or "an output")
        where = where[:_SHOWN] + "…" * (len(where) > _SHOWN)
        return _complain(
            f"Cannot read or write {where}: {STORAGE_ERRORS[error.errno]} and run again."
        )
    except (MemoryError, ImportError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(x in str(error) for x in _NO_MEMORY):
            raise
        return _complain(
            f"Out of memory ({' '.join(str(error).split())[:200] or type(error).__name__}). Close "
            "other programs, or lower `train.batch_size`, `evaluate.batch_size` or `input_size`, "
            "and run again; PyTorch alone takes a gigabyte, and reserves three of address space."
        )


WIDEST = 100  # characters of a line where no terminal says fewer
_SHOWN = 300  # characters of a name
_NO_MEMORY = ("failed to map segment", "allocate memory", "out of memory")
"""How Python's loader, PyTorch on a CPU and PyTorch on a GPU say that there is no memory left."""


def _complain(message: str) -> int:
    from stages.core.way_back import way_back

    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
    paragraphs = [  # an indented line is a command, to be copied whole
        part
        if part.startswith("  ")
        else textwrap.fill(part, width, break_long_words=False, break_on_hyphens=False)
        for part in f"error: {message}{way_back()}".split("\n")
    ]
    print("\n".join(paragraphs), file=sys.stderr)
    return 1


@contextmanager
def _terminating_like_an_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind the stack as Ctrl-C does, so that temporary files are removed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and `kill` do nothing: what is begun within is soon done, and must be known."""
    previous = {
        number: signal.signal(number, lambda number, frame: None)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
