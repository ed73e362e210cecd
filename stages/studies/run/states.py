"""What each cell of a study is on this machine: finished, diverged, or missing and why.

A cell exists when its file is of the parameters as they stand and of this machine's declared DNA,
or with `machines: any` of any machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from stages.core.params import Params
from stages.runs.cell_file import read_or_fault
from stages.studies.run.machine import declared_id
from stages.studies.spec.identity import identity_of
from stages.studies.spec.listed_pictures import (
    is_current,
    listed_pictures,
    of_other_pictures,
    without_a_draw,
)
from stages.studies.spec.study_config import StudyConfig


class Reason(Enum):
    """Why a cell does not count."""

    NOT_RUN = auto()
    OUTDATED = auto()  # of other parameters or pictures
    ELSEWHERE = auto()  # of another machine
    DAMAGED = auto()
    NO_DRAW = auto()  # its images cannot be drawn out of those that there are


@dataclass(frozen=True)
class State:
    """What a cell is: it counts unless there is a reason why not; `detail` tells more of either."""

    reason: Reason | None = None
    detail: str = ""

    @property
    def missing(self) -> bool:
        """Whether it does not count."""
        return self.reason is not None

    def __str__(self) -> str:
        if self.reason is None:
            return self.detail or "finished"
        if self.reason is Reason.NO_DRAW:
            return "missing for good"
        told = f" ({self.detail})" if self.detail else ""
        return f"missing here{told}" if self.reason is Reason.ELSEWHERE else f"missing{told}"


FINISHED = State()


def states_of(form: StudyConfig) -> dict[str, State]:
    """`state_of` of every cell as this machine sees it. Raises ParamsError as `plan_of`."""
    params = {cell.name: form.params(cell) for cell in form.cells}
    machines, listed = machines_of(form, params), listed_pictures(form)
    read, faults = read_cells(form)
    states = {
        name: state_of(read[name], own, machines[name], listed) for name, own in params.items()
    }
    for name, fault in faults.items():
        if states[name].reason in (None, Reason.NOT_RUN):
            states[name] = State(Reason.DAMAGED, f"{fault}; DVC makes it anew")
    never = [name for name in without_a_draw(form) if states[name].missing]
    return states | dict.fromkeys(never, State(Reason.NO_DRAW))


def read_cells(form: StudyConfig) -> tuple[dict[str, dict[str, Any] | None], dict[str, str]]:
    """What every cell left, None for nothing usable, and what is wrong with damaged ones."""
    found = {cell.name: read_or_fault(form.cell_folder(cell)) for cell in form.cells}
    faults = {name: fault for name, (_, fault) in found.items() if fault}
    return {name: cell for name, (cell, _) in found.items()}, faults


def machines_of(form: StudyConfig, params: Mapping[str, Params]) -> Mapping[str, str | None]:
    """The declared DNA that each cell would run with here, or None where any machine's counts."""
    return dict.fromkeys(params) if form.any_machine else dna_here(params)


def dna_here(params: Mapping[str, Params]) -> dict[str, str]:
    """The declared DNA of this machine with the settings of each cell: few differ, few are asked
    for. Raises DeviceError when a device is absent.
    """
    known: dict[tuple[Any, ...], str] = {}
    found: dict[str, str] = {}
    for name, own in params.items():
        key = (own.device, own.threads, own.train.deterministic)
        if key not in known:
            known[key] = declared_id(own)
        found[name] = known[key]
    return found


def kept_cells(
    form: StudyConfig, params: Mapping[str, Params], machines: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    """The cells that `machines/` has of this very machine, the parameters and the pictures."""
    found, listed = {}, listed_pictures(form)
    for folder in form.machines_folder.glob("*/"):
        for name in [name for name in params if folder.name.startswith(f"{machines[name]}-")]:
            cell, fault = read_or_fault(folder / name)
            if cell and not fault and is_current(cell, params[name], listed):
                found[name] = cell
    return found


def is_of(found: Mapping[str, Any], machine: str | None) -> bool:
    """Whether a cell is of a machine by its declared DNA; None stands for any."""
    return machine is None or bool(found["machine"]["declared_id"] == machine)


def state_of(
    found: Mapping[str, Any] | None,
    params: Params,
    machine: str | None,
    listed: Mapping[str, Any],
) -> State:
    """Finished, diverged (at epoch 7, fp16), or missing with the reason.

    `machine` is the declared DNA whose cells count; None where any machine's do. `listed` are the
    study's pictures.
    """
    if found is None:
        return State(Reason.NOT_RUN)
    if not is_of(found, machine):
        return State(Reason.ELSEWHERE, f"the file is of DNA {found['machine']['declared_id']}")
    if found["params_id"] != identity_of(params):
        return State(Reason.OUTDATED, "the parameters were changed")
    if of_other_pictures(found, params.dataset, listed):
        return State(Reason.OUTDATED, "the pictures were changed")
    if found["status"] == "diverged":
        where = found["diverged"]
        return State(detail=f"diverged at epoch {where['epoch']}, {where['precision']}")
    return FINISHED
