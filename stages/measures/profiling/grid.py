"""The stopwatch over the whole grid of cells: warm-up, then repeats taken in turns.

Each repeat goes once round all cells, so a slow minute of the machine hits all variants alike and
shows as spread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from stages.measures.profiling.cells import Cell
from stages.measures.profiling.throughput import images_per_second
from stages.measures.profiling.timing import Clock, timed_calls, warm_up
from stages.measures.profiling.try_measure import try_measure

# Latency is asked of single calls and throughput of blocks: they share the time of a cell.
SHARE = 0.5


@dataclass(frozen=True)
class Plan:
    """How long each cell is timed (warm-up not counted), in how many repeats, with which clock."""

    seconds: float
    repeats: int
    clock: Clock
    threads: int


def time_cells(cells: Sequence[Cell], plan: Plan, tick: Callable[[], object]) -> None:
    """Time all cells that are ready; results and failures go into the cells.

    `tick` is called `visits(…)` times, for a progress bar.
    """
    for cell in cells:
        if cell.ready:
            warm, cell.reason = try_measure(partial(_warm, cell, plan))
            cell.stable = bool(warm)
        tick()
    for _ in range(plan.repeats):
        for cell in cells:
            if cell.ready:
                _, cell.reason = try_measure(partial(_visit, cell, plan))
            tick()


def visits(cells: int, repeats: int) -> int:
    """How often `time_cells` ticks."""
    return cells * (repeats + 1)


def _warm(cell: Cell, plan: Plan) -> bool:
    return warm_up(cell.call, plan.clock, plan.seconds)


def _visit(cell: Cell, plan: Plan) -> None:
    """One repeat of one cell: single calls, then a block, after a call that does not count."""
    seconds = SHARE * plan.seconds / plan.repeats
    cell.call()
    calls = timed_calls(cell.call, plan.clock, seconds)
    rate = images_per_second(cell.call, calls, cell.batch_size, plan.clock, seconds, plan.threads)
    cell.repeats.calls.append(calls)
    cell.repeats.rates.append(rate)
