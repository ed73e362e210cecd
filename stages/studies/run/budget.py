"""Which missing cells to run when time is short: what fits into some hours, most telling first.

First come the cells that claims need which this machine's runs leave open (not run, not judged or
undecided). Within those, and then within the rest, the next is always of the model with the fewest
cells, then of its size with the fewest, then of its recipe, so that models are covered first, then
sizes, recipes and seeds; of equals the quickest. A cell that no longer fits is passed over.
"""

from collections import Counter
from dataclasses import replace

import pandas as pd

from stages.core.amounts import images_of
from stages.core.counts import counted
from stages.core.errors import ParamsError
from stages.pages.formatting import duration
from stages.studies.analysis.judging import judge, sides_of
from stages.studies.analysis.reading import read_results
from stages.studies.analysis.results import Results
from stages.studies.run.known import network_of
from stages.studies.run.plan import Plan, Planned
from stages.studies.spec.claims import parse
from stages.studies.spec.study_config import Cell, StudyConfig
from stages.studies.spec.study_source import load_study_source

ANY = "any"
POOL = 10**9  # images; more than any count, for a share of pictures that were not listed
SETTLED = ("holds", "does not hold")


def require_hours(hours: float | None) -> None:
    """Raise ParamsError for hours of 0 or less."""
    if hours is not None and not hours > 0:
        raise ParamsError(f"--hours is {hours:g}; allowed is a number above 0.")


def proposal(plan: Plan, hours: float) -> str:
    """What to run in so many hours, and the command."""
    form, missing = plan.form, plan.missing
    chosen = choose(plan, 3600 * hours, needed_by_claims(form, plan.machine))
    if not chosen:
        return f"None of {counted(len(missing), 'missing cell')} is known to fit into {hours:g} h."
    if len(chosen) == len(missing):
        return f"All missing cells fit into {hours:g} h."
    total, lines = 0.0, []
    for one in chosen:
        seconds = one.time.seconds if one.time else 0.0
        total += seconds
        lines.append(f"  {one.cell.name}, {duration(seconds)}, {duration(total)} in all")
    targets = [f"{form.name}/dvc.yaml:{one.cell.grid}@{one.cell.name}" for one in chosen]
    head = f"Into {hours:g} h fit {len(chosen)} of {counted(len(missing), 'missing cell')}:"
    return "\n".join(
        [head, *lines, f"Run them with: dvc --cd studies repro -k {' '.join(targets)}"]
    )


def choose(plan: Plan, seconds: float, needed: set[str]) -> list[Planned]:
    """The missing cells of known time that fit and are not kept, in order; `needed` are names."""
    left = [one for one in plan.missing if one.time is not None and not one.kept]
    profiles = {
        network_of(plan.form, one.cell): one.time.profile_seconds
        for one in left
        if one.time and one.time.profile_seconds
    }
    covered: Counter[tuple[str, ...]] = Counter()
    for one in plan.planned:
        if one.kept or one not in plan.missing:
            covered.update(_places(one.cell))
    chosen: list[Planned] = []

    def rank(one: Planned) -> tuple[float, ...]:
        counts = [covered[place] for place in _places(one.cell)]
        return (one.cell.name not in needed, *counts, one.time.seconds if one.time else 0.0)

    while left:
        best = min(left, key=rank)
        left.remove(best)
        if best.time is None:
            continue
        # Whichever cell comes first of a network measures it, and is charged with that.
        network = network_of(plan.form, best.cell)
        once = profiles.get(network, 0.0)
        own = best.time.seconds - best.time.profile_seconds + once
        if own <= seconds:
            seconds -= own
            profiles.pop(network, None)
            covered.update(_places(best.cell))
            chosen.append(replace(best, time=replace(best.time, seconds=own)))
    return chosen


def needed_by_claims(form: StudyConfig, declared: str | None) -> set[str]:
    """The cells of both sides of every claim that is open on the machine of this declared DNA.

    Where it is None, as with `machines: any`, on all machines.
    """
    results, found, every = read_results(form), set[str](), _as_if_run(form)
    own = [
        name for name, facts in results.machines.items() if declared in (None, facts["declared_id"])
    ]
    for claim in load_study_source(form).claims:
        if not any(_is_settled(claim.claim, form, results, machine) for machine in own):
            _, compared = sides_of(parse(claim.claim, form), every, ANY)
            found |= {name for cells in compared for name in cells["cell"]}
    return found


def _as_if_run(form: StudyConfig) -> pd.DataFrame:
    """A row per cell of the grids, as the claims would find them if all had run on one machine."""
    rows = []
    for cell in form.cells:
        amount = form.params(cell).subset.train
        images = images_of(amount, POOL) or POOL
        row = {"cell": cell.name, "machine": ANY, "model": cell.model, "recipe": cell.recipe}
        rows.append(row | {"size": cell.size, "train_images": images})
    return pd.DataFrame(rows)


def _is_settled(claim: str, form: StudyConfig, results: Results, machine: str) -> bool:
    return any(
        judge(claim, form, results.of(problem), machine).status in SETTLED
        for problem in results.heads
    )


def _places(cell: Cell) -> list[tuple[str, ...]]:
    """Where a cell counts, from coarse to fine."""
    parts = (cell.model, cell.size, cell.recipe)
    return [parts[:length] for length in (1, 2, 3)]
