"""What a study still has to run on this machine, and how long that takes.

A cell exists when its file is of this machine's declared DNA and of the parameters as they stand.
The time of a missing cell is that of the same cell with another seed; else of its model, scaled by
images and epochs; else it is unknown, and said to be. Leaves running to DVC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from stages.core.amounts import images_of
from stages.core.params import Params
from stages.reporting.words import duration
from stages.studies.code import code_note
from stages.studies.form import Cell, Form, identity_of
from stages.studies.machine import declared_id
from stages.studies.record import read_cell


@dataclass(frozen=True)
class Planned:
    """A cell, its state, and the seconds it will take where that can be said."""

    cell: Cell
    state: str
    seconds: float | None


@dataclass(frozen=True)
class Plan:
    """All cells of a form as this machine sees them."""

    form: Form
    machine: str
    planned: list[Planned]
    note: str | None

    @property
    def missing(self) -> list[Planned]:
        """The cells that are yet to run."""
        return [one for one in self.planned if one.state.startswith("missing")]

    def text(self) -> str:
        """A line per cell, and the sum."""
        width = max(len(one.cell.name) for one in self.planned)
        lines = [f"{one.cell.name:<{width}}  {_state(one)}" for one in self.planned]
        known = [one.seconds for one in self.missing if one.seconds is not None]
        unknown = len(self.missing) - len(known)
        left = f"about {duration(sum(known))} left" if known else "time unknown"
        left += f" and {unknown} cells of unknown time" if unknown and known else ""
        done = len(self.planned) - len(self.missing)
        summary = f"{done} of {len(self.planned)} cells exist for DNA {self.machine}"
        lines.append(f"{summary}, {left}." if self.missing else f"{summary}. Nothing is missing.")
        if self.missing:
            lines.append(f"Run them with: dvc repro {self.form.folder / 'dvc.yaml'}")
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)


def plan_of(form: Form) -> Plan:
    """Look at every cell. Raises ParamsError for a cell whose parameters are mistaken."""
    params = {cell.name: form.params(cell) for cell in form.cells}
    read = {cell.name: read_cell(form.cell_folder(cell)) for cell in form.cells}
    machines = _machines(params)
    states = {name: state_of(read[name], own, machines[name]) for name, own in params.items()}
    missing = {name for name, state in states.items() if state.startswith("missing")}
    finished = [found for found in read.values() if found and found.get("train")]
    planned = [
        Planned(
            cell,
            states[cell.name],
            estimate(cell, params[cell.name], finished) if cell.name in missing else None,
        )
        for cell in form.cells
    ]
    codes = [found.get("code") for name, found in read.items() if found and name not in missing]
    return Plan(form, next(iter(machines.values())), planned, code_note(form, codes))


def _machines(params: Mapping[str, Params]) -> dict[str, str]:
    """The declared DNA that each cell would run with here; few differ, so few are asked for."""
    known: dict[tuple[Any, ...], str] = {}
    found = {}
    for name, own in params.items():
        key = (own.device, own.threads, own.train.deterministic)
        if key not in known:
            known[key] = declared_id(own)
        found[name] = known[key]
    return found


def state_of(found: Mapping[str, Any] | None, params: Params, machine: str) -> str:
    """`finished`, `diverged at epoch 7, fp16`, or `missing` with the reason."""
    if found is None:
        return "missing"
    if found["machine"]["declared_id"] != machine:
        return f"missing here (the file is of DNA {found['machine']['declared_id']})"
    if found["params_id"] != identity_of(params):
        return "missing (the parameters were changed)"
    if found["status"] == "diverged":
        return f"diverged at epoch {found['diverged']['epoch']}, {found['diverged']['precision']}"
    return "finished"


def estimate(cell: Cell, params: Params, finished: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds that a missing cell will take, from finished ones; None where none is like it."""
    twins = [
        float(found["cell_seconds"])
        for found in finished
        if (found["model"], found["size"], found["recipe"]) == (cell.model, cell.size, cell.recipe)
    ]
    if twins:
        return mean(twins)
    rates, fixed = [], []
    for found in finished:
        if found["model"] == cell.model:
            work = found["train_images"] * found["epochs"]
            rates.append(found["train"]["train_seconds"] / work)
            fixed.append(found["cell_seconds"] - found["train"]["train_seconds"])
    if not rates:
        return _from_profile(cell, params, finished)
    work = _images(params, finished) * params.train.epochs
    return float(mean(fixed) + mean(rates) * work)


def _from_profile(
    cell: Cell, params: Params, finished: Sequence[Mapping[str, Any]]
) -> float | None:
    """From the speed of training steps that a diverged or partial cell's profile measured."""
    rates = [
        found["profile"]["training_images_per_second"]
        for found in finished
        if found["model"] == cell.model and found["profile"].get("training_images_per_second")
    ]
    return _images(params, finished) * params.train.epochs / mean(rates) if rates else None


def _images(params: Params, finished: Sequence[Mapping[str, Any]]) -> int:
    """Training images of a cell; a share or `full` is taken of the largest pool seen."""
    pool = max((found["train_images"] + found["val_images"] for found in finished), default=0)
    return images_of(params.subset.train, pool) or pool


def _state(one: Planned) -> str:
    if not one.state.startswith("missing"):
        return one.state
    return f"{one.state}, {'unknown time' if one.seconds is None else duration(one.seconds)}"
