"""What else the machine did while we measured: processor time that other processes took.

A steady neighbour slows every repeat alike, so their spread does not show it; this does.
"""

import math
import os
from typing import Any

import psutil


class OtherLoad:
    """Cores that other processes kept busy since the object was made."""

    def __init__(self) -> None:
        self.cores = _our_cores()
        self.before = self._reading()

    def busy_cores(self) -> float:
        """Average number of our cores that ran something else, from 0 to all of them."""
        busy, own, whole = (
            after - before for after, before in zip(self._reading(), self.before, strict=True)
        )
        if whole <= 0:
            return 0.0
        # The two are differences of large sums: rounding alone takes a full share beyond 1.
        return min(1.0, max(0.0, busy - own) / whole) * len(self.cores)

    def _reading(self) -> tuple[float, float, float]:
        """Seconds on our cores since the start of the system: busy; by us; in all."""
        per_core = psutil.cpu_times(percpu=True)
        times = [per_core[core] for core in self.cores if core < len(per_core)]
        # Linux counts the time of guests within that of users too.
        guests = sum(
            getattr(core, "guest", 0.0) + getattr(core, "guest_nice", 0.0) for core in times
        )
        whole = sum(sum(core) for core in times) - guests
        idle = sum(core.idle + getattr(core, "iowait", 0.0) for core in times)
        own = psutil.Process().cpu_times()
        children = psutil.Process().children(recursive=True)  # compilers, and memory's processes
        return whole - idle, _seconds(own) + math.fsum(map(_seconds_of, children)), whole


def _seconds(times: Any) -> float:
    """Of a process and of its children that have ended."""
    own = times.user, times.system, times.children_user, times.children_system
    return math.fsum(own)


def _seconds_of(child: psutil.Process) -> float:
    """Of one that still runs, so that it counts on from there when it ends."""
    try:
        return _seconds(child.cpu_times())
    except psutil.Error:  # it ended meanwhile
        return 0.0


def _our_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(psutil.cpu_count() or 1))


def load_note(busy_cores: float, cores: int) -> str | None:
    """A warning when others took more than a twentieth of the cores."""
    if busy_cores <= 0.05 * cores:
        return None
    return f"noisy: other processes kept {busy_cores:.1f} of {cores} cores busy"
