"""How far a study's cells are: here, finished elsewhere, at work, outdated, failed, not begun."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stages.core.counts import counted
from stages.runs.schema import CELL
from stages.studies.jobs.results import result_of
from stages.studies.jobs.slurm import queue
from stages.studies.jobs.submission import EPOCH, LOCAL, Submission, fetch, log_on_node, submissions
from stages.studies.run.machine import about_weights
from stages.studies.run.picture_cautions import about_pictures, why_not
from stages.studies.run.states import Reason, State, states_of
from stages.studies.spec.study_config import Cell, StudyConfig

DONE, FINISHED, RUNNING, WAITING = "done", "finished, not gathered", "running", "waiting"
HELD = "held"
OUTDATED, FAILED, NOT_BEGUN, MISSING = "outdated", "failed", "not begun", "not submitted"
CANNOT_RUN = "cannot run"
TO_RUN = (OUTDATED, FAILED, NOT_BEGUN, MISSING)
"""What `submit` sends."""
STATES = (DONE, FINISHED, RUNNING, WAITING, HELD, *TO_RUN, CANNOT_RUN)
Tasks = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Standing:
    """A cell, one of STATES, and what is known besides: the last line of its log, or a reason."""

    cell: Cell
    state: str
    detail: str = ""

    @property
    def share(self) -> float:
        """How much of the cell is done, in 0…1, as far as it tells."""
        if self.state in (DONE, FINISHED):
            return 1.0
        told = EPOCH.match(self.detail) if self.state == RUNNING else None
        return int(told[1]) / int(told[2]) if told else 0.0


def standings(form: StudyConfig) -> list[Standing]:
    """Where every cell stands. Raises RunError where Slurm or a remote does not answer."""
    every = submissions(form)
    tasks = tasks_of(every)  # first: a task that ends in between has pushed by then
    for remote in {one.remote for one in every if one.remote}:
        fetch(form, remote)
    states = states_of(form)
    return [_standing(form, cell, states[cell.name], every, tasks) for cell in form.cells]


def summary(found: Sequence[Standing]) -> str:
    """How many cells are in which state."""
    counts = Counter(one.state for one in found)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    return f"of {counted(len(found), 'cell')} {told}"


def status(form: StudyConfig) -> str:
    """A line per cell, the sum, and what to know of the pictures."""
    found = standings(form)
    width = max(len(one.cell.name) for one in found)
    lines = [
        f"{one.cell.name:<{width}}  {one.state}{f': {one.detail}' if one.detail else ''}"
        for one in found
    ]
    cautions = [*why_not(form), *about_pictures(form), *about_weights(form)]
    return "\n".join([*lines, f"{form.name}: {summary(found)}.", *cautions])


def _standing(
    form: StudyConfig, cell: Cell, state: State, every: Sequence[Submission], tasks: Tasks
) -> Standing:
    """Where a cell stands that `state_of` calls `state` here."""
    if not state.missing:
        return Standing(cell, DONE, state.detail)
    if state.reason is Reason.NO_DRAW:
        return Standing(cell, CANNOT_RUN, "its images cannot be drawn")
    of_cell = [one for one in every if cell.name in one.cells]
    for one in of_cell:
        source = one.source(form, cell.name)
        if source is not None and result_of(form, cell, source):
            return Standing(cell, FINISHED)
    for one in of_cell:
        if found := at_work(one, cell.name, tasks):
            return Standing(cell, *found)
    if not of_cell:
        outdated = state.reason in (Reason.OUTDATED, Reason.DAMAGED)
        return Standing(cell, OUTDATED if outdated else MISSING, state.detail)
    latest = of_cell[0]
    left = latest.source(form, cell.name)
    if left is not None and left.read(Path(form.cells_folder.name) / cell.name / CELL) is not None:
        told = "its result is of other parameters, pictures or another machine than the study's now"
        return Standing(cell, OUTDATED, told)
    if latest.remote:
        log = log_on_node(form, latest.task(cell.name))
        return Standing(cell, FAILED, f"nothing came back; see {log} on its node")
    if not latest.log(cell.name).exists():
        return Standing(cell, NOT_BEGUN, latest.full_disk())
    return Standing(cell, FAILED, latest.complaint(cell.name))


def tasks_of(every: Sequence[Submission]) -> Tasks:
    """The queue, where any of the submissions went into one."""
    return queue() if any(one.job != LOCAL for one in every) else {}


def at_work(one: Submission, cell: str, tasks: Tasks) -> tuple[str, str] | None:
    """State and detail of a cell's task that waits or runs; None when it has ended."""
    said = one.last_line(cell)
    if one.job == LOCAL:
        return None if one.ended(cell).exists() else _at_work_here(one, cell, said)
    if (task := tasks.get(one.task(cell))) is None:
        return None
    if task[1].startswith("JobHeld"):  # by its user or an administrator, for as long as they like
        return HELD, f"{task[1]}; `scontrol release {one.job}` lets it go"
    waits = task[0] in ("PENDING", "CONFIGURING", "SUSPENDED")
    return (WAITING, task[1]) if waits else (RUNNING, said)


def _at_work_here(one: Submission, cell: str, said: str) -> tuple[str, str] | None:
    """As `at_work` of a cell that is not marked as ended: it may run on without its `submit`."""
    if one.is_at_work_here():
        return (RUNNING if one.log(cell).exists() else WAITING), said
    if one.is_printing_here(cell):
        return RUNNING, f"{said or 'nothing said yet'} (its `submit` is gone; it goes on alone)"
    return None
