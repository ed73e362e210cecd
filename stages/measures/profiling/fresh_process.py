"""Fresh processes to measure in: how one begins, and that none outlives what asked for it.

Imports nothing heavy: where they are forked, the process that they are forked from loads PyTorch
while the stage that asks for them does.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import BaseContext
from typing import Any

FORKED = sys.platform == "linux"
"""Elsewhere it is not safe: Metal, which a model on MPS needs, ends a process that was forked and
goes on without another program."""


def context() -> BaseContext:
    """How a fresh process begins: forked from one that has loaded PyTorch where that is safe."""
    if not FORKED:
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["torch"])
    return found


def load_ahead() -> None:
    """Have what processes are forked from load PyTorch now, beside whatever this process does.

    They leave Ctrl-C, which a terminal sends to all, to this process (`ended_with`). To be
    called in the main thread, as whatever sets signals.
    """
    if not FORKED:
        return
    context()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # what is started now inherits it
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def ended_with(*awaited: "Future[Any]") -> Iterator[None]:
    """Where the block is left by an error or Ctrl-C, which they do not see, end the processes that
    work on what was `awaited`, and those that begin only then: an executor waits for them.
    """
    try:
        yield
    except BaseException:
        while wait(awaited, timeout=0.05).not_done:
            for process in multiprocessing.active_children():
                process.kill()
        raise


def end_with_parent() -> None:
    """Watch this process's parent, and end with it: a killed one would be waited for forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
