"""Throughput over ever larger batches: doubled until memory or time ends.

Each size is timed once, so these cells show where throughput levels off rather than a figure to the
per cent.
"""

from dataclasses import replace

from stages.measures.profiling.cells import Cell, inference_cells
from stages.measures.profiling.grid import Plan, time_cells
from stages.measures.profiling.memory_budget import Forecast
from stages.measures.profiling.profiled_model import ProfiledModel
from stages.measures.profiling.variants import Variant

# A cell costs its time, its warm-up and a few calls; the next one takes twice as long per call.
CALLS_OF_A_CELL = 5


def sweep(
    subject: ProfiledModel,
    base: Variant,
    start: int,
    seconds: float,
    plan: Plan,
    forecast: Forecast,
) -> list[Cell]:
    """Cells of the eager variant at 2, 4, 8 … times `start`; the last may say why it is the last.

    Ends when a batch does not fit, fails, or would not end within `seconds` of all.
    """
    once = replace(plan, repeats=1)
    begun = plan.clock()
    cells: list[Cell] = []
    batch_size = start
    while True:
        batch_size *= 2
        (cell,) = inference_cells(subject, [(base.name, base, None)], [batch_size], forecast)
        time_cells([cell], once, lambda: None)
        cells.append(cell)
        if cell.reason is not None:
            return cells
        left = seconds - (plan.clock() - begun)
        if left < CALLS_OF_A_CELL * 2 * max(cell.repeats.all_calls):
            return cells
