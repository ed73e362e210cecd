"""One recorded step computed again from the engine's state, beside what one ULP does to it."""

from dataclasses import replace

import pandas as pd

from stages.comparison.analysis.limits import Limits
from stages.comparison.analysis.rounding import first_beyond
from stages.comparison.analysis.step_trace import first_bits, gradient_distance, places_at
from stages.comparison.rerun.found import Replayed
from stages.comparison.rerun.near_tie import places_beside
from stages.comparison.rerun.rebuilt_engine import epoch_of
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS
from stages.training.engine import Engine
from stages.training.step_trace import perturbed_rows, watching


def replay_step(
    engine: Engine, record: Run, after: int, limits: Limits
) -> tuple[Replayed, pd.DataFrame]:
    """What came of the step, and its rows as they were made here."""
    rows, perturbed = step_rows(engine, after + 1)
    mine = replace(record, name="here", inside=rows)
    beside = replace(record, name="perturbed", inside=perturbed)
    places = places_beside(record, rows)
    place, limit = first_beyond(places, limits) or (None, None)
    found = Replayed(
        step=after + 1,
        distance=gradient_distance(places),
        perturbed_distance=gradient_distance(places_at(mine, beside, after + 1)),
        bits=first_bits(places),
        beyond=place,
        limit=limit,
    )
    return found, rows


def step_rows(engine: Engine, step: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of one step from the engine's state, as training records them, and perturbed."""
    engine.model.train()
    epoch, index = epoch_of(engine, step)
    perturbed = perturbed_rows(engine, epoch, index)
    with watching(engine, step) as inside:
        engine.gradients(epoch, index)
    engine.update()
    rows = pd.DataFrame(inside.after_update(perturbed), columns=INSIDE_COLUMNS)
    return rows, pd.DataFrame(perturbed, columns=INSIDE_COLUMNS).assign(step=step)
