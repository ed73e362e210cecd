"""The stopwatch: warm-up until stable, repeats taken in turns, and how far they spread.

Knows nothing of models: it times callables with a clock. What is timed and under which name is
in `latency`, `throughput` and `grid`. Clocks synchronise the device
on every backend before they read, so queued work counts (PyTorch's own Timer is handed the same
clock).
"""

import timeit
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import torch

from stages.core.device import synchronize

Clock = Callable[[], float]
Call = Callable[[], object]

STABLE = 0.05
WINDOW = 3
MOST_CALLS = 10_000


def clock_of(device: torch.device) -> Clock:
    """A clock in seconds that first waits until the device has done all that was queued."""

    def clock() -> float:
        synchronize(device)
        return timeit.default_timer()

    return clock


def warm_up(call: Call, clock: Clock, seconds: float) -> bool:
    """Call until two windows of calls in a row have medians within 5 %; False if time ran out.

    The time is a bound on the whole warm-up; at least two calls are made, since the first
    allocates, chooses algorithms or compiles.
    """
    timer = timeit.Timer(call, timer=clock)
    spent = timer.timeit(1)
    times: list[float] = []
    while True:
        times.append(timer.timeit(1))
        spent += times[-1]
        if len(times) >= 2 * WINDOW and len(times) % WINDOW == 0:
            last, before = median(times[-WINDOW:]), median(times[-2 * WINDOW : -WINDOW])
            if abs(last / before - 1) <= STABLE:
                return True
        if spent >= seconds:
            return False


def timed_calls(call: Call, clock: Clock, seconds: float) -> list[float]:
    """Seconds of each single call, for about `seconds` in all; at least one call."""
    timer = timeit.Timer(call, timer=clock)
    times = [timer.timeit(1)]
    total = times[0]
    while total + times[-1] <= seconds and len(times) < MOST_CALLS:
        times.append(timer.timeit(1))
        total += times[-1]
    return times


@dataclass
class Repeats:
    """What repeats of one measurement gave: seconds of single calls, and images per second."""

    calls: list[list[float]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def all_calls(self) -> list[float]:
        """Seconds of every single call, all repeats together."""
        return [seconds for repeat in self.calls for seconds in repeat]

    def times_as_fast_as(self, other: "Repeats") -> list[float]:
        """Per repeat, the other's median call over ours; taken in turns, so drift cancels out."""
        pairs = zip(self.calls, other.calls, strict=True)
        return [median(theirs) / median(ours) for ours, theirs in pairs]

    @property
    def spread(self) -> float | None:
        """(largest − smallest) / median over the repeats' median calls; None below two repeats."""
        if len(self.calls) < 2:
            return None
        medians = [median(repeat) for repeat in self.calls]
        return (max(medians) - min(medians)) / median(medians)
