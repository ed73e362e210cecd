"""What a study still has to run on this machine, and how long that takes.

Leaves whether a cell exists to `states`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from stages.core.counts import counted
from stages.core.errors import DeviceError, UserError
from stages.core.params import Params
from stages.pages.formatting import duration
from stages.studies.run.code import code_note
from stages.studies.run.estimate import Estimate, estimate
from stages.studies.run.known import Rehearsals, fresh, known_of
from stages.studies.run.machine import about_weights, require_startable
from stages.studies.run.picture_cautions import about_pictures, why_not
from stages.studies.run.pictures import pictures_away
from stages.studies.run.states import (
    Reason,
    State,
    dna_here,
    is_of,
    kept_cells,
    machines_of,
    read_cells,
    states_of,
)
from stages.studies.spec.identity import identity_of
from stages.studies.spec.study_config import Cell, StudyConfig


@dataclass(frozen=True)
class Planned:
    """A cell, its state, and how long it will take where that can be said.

    `kept` says that it is missing and that `machines/` has it of this machine.
    """

    cell: Cell
    state: State
    time: Estimate | None
    kept: bool = False

    @property
    def never(self) -> bool:
        """Whether its images cannot be drawn."""
        return self.state.reason is Reason.NO_DRAW


@dataclass(frozen=True)
class Plan:
    """All cells of a form as this machine sees them; `refused` is why none of them can start."""

    form: StudyConfig
    machine: str | None
    planned: list[Planned]
    notes: list[str]
    refused: str = ""

    @property
    def missing(self) -> list[Planned]:
        """The cells that are yet to run, and can."""
        return [one for one in self.planned if one.state.missing and not one.never]

    @property
    def never(self) -> int:
        """How many cells cannot draw their images."""
        return sum(one.never for one in self.planned)

    def text(self) -> str:
        """A line per cell, and the sum."""
        width = max(len(one.cell.name) for one in self.planned)
        lines = [f"{one.cell.name:<{width}}  {_state(one)}" for one in self.planned]
        known = [one.time.seconds for one in self.missing if one.time is not None]
        unknown = len(self.missing) - len(known)
        left = f"about {duration(sum(known))} left" if known else "time unknown"
        left += f" and {counted(unknown, 'cell')} of unknown time" if unknown and known else ""
        done = len(self.planned) - len(self.missing) - self.never
        whose = f"for DNA {self.machine}" if self.machine else "of any machine"
        summary = f"{done} of {len(self.planned)} cells exist {whose}"
        nothing = "Nothing else can run." if self.never else "Nothing is missing."
        lines.append(f"{summary}, {left}." if self.missing else f"{summary}. {nothing}")
        if self.missing:
            run = f"Run them with: {self.form.repro('-k')}"
            lines.append(f"None of them can start. {self.refused}" if self.refused else run)
            lines += self._kept()
            page = f"python -m stages.study page {self.form.name}"
            damaged = any(one.state.reason is Reason.DAMAGED for one in self.planned)
            lines += [f"A page of those that exist, meanwhile: {page}"] * (done and not damaged)
        return "\n".join([*lines, *self.notes])

    def _kept(self) -> list[str]:
        """A line on those of the missing that were made here before and are kept."""
        if not (kept := [one for one in self.missing if one.kept]):
            return []
        others = [one.time.seconds for one in self.missing if one.time and not one.kept]
        be = "is" if len(kept) == 1 else "are"
        told = (
            f"Of the missing, {len(kept)} {be} kept in {self.form.machines_folder}, of this "
            f"machine, and {be} on the page."
        )
        rest = f" The others take about {duration(sum(others))}; --hours names them."
        return [told + (rest if others else "")]


def plan_of(form: StudyConfig, log: Callable[[str], None] = lambda line: None) -> Plan:
    """Look at every cell; where no time is known yet, a few steps are rehearsed.

    Raises ParamsError for a cell whose parameters are mistaken.
    """
    params = {cell.name: form.params(cell) for cell in form.cells}
    recipes = {cell.recipe for cell in form.cells}
    read, _ = read_cells(form)
    machines = machines_of(form, params)
    states = states_of(form)
    missing = {name for name, state in states.items() if state.missing}
    refused = _refused(form) if missing else ""
    kept = {
        name: found for name, found in kept_cells(form, params, machines).items() if name in missing
    }
    own = _here(params) if missing else dict.fromkeys(params, "")
    mine = [found for name, found in read.items() if found and is_of(found, own[name])]
    current = {
        name: found
        for name, found in read.items()
        if found and found["params_id"] == identity_of(params[name])
    }
    known = known_of(form, params, current | kept, own)
    known = replace(known, fresh=fresh(form, [*mine, *kept.values()]))
    if not refused:
        asked = {name: params[name] for name in params if name in missing}
        known = replace(known, pace=Rehearsals(form, asked, known, log).pace)
    planned = [
        Planned(
            cell,
            states[cell.name],
            estimate(cell, params[cell.name], known) if cell.name in missing else None,
            cell.name in kept,
        )
        for cell in form.cells
    ]
    codes = [
        (name, found.get("code")) for name, found in read.items() if found and name not in missing
    ]
    note = code_note(form, codes)
    notes = [*([note] if note else []), *why_not(form), *about_pictures(form), *about_weights(form)]
    if idle := [name for name in form.file.recipes if name not in recipes]:
        notes.append(f"No grid names {', '.join(idle)} of the recipes.")
    if missing and (away := pictures_away(form)):
        told = f"No pictures in {', '.join(away)}."
        notes.append(f"{told} Cells that need them can run when they are there.")
    return Plan(form, next(iter(machines.values())), planned, notes, refused)


def _here(params: Mapping[str, Params]) -> dict[str, str]:
    """The machine that plans, for each cell, also where any one's count; none without a device."""
    try:
        return dna_here(params)
    except DeviceError:
        return dict.fromkeys(params, "")


def _refused(form: StudyConfig) -> str:
    """What the study's fingerprint would say before the first cell; empty where it would not."""
    try:
        require_startable(form)
    except UserError as error:
        return str(error)
    return ""


def _state(one: Planned) -> str:
    if one.never or not one.state.missing:
        return str(one.state)
    state = f"{one.state}, kept" if one.kept else str(one.state)
    if one.time is None:
        return f"{state}, unknown time"
    return f"{state}, {duration(one.time.seconds)} ({one.time.basis})"
