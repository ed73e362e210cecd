"""Spot checks: cells drawn by chance are made again and held against their records.

On the machine that made a record weights and answers must be the same bits; on another the verdict
of `stages.compare` decides. A cell is made with the parameters that it was made with, in a folder
that is thrown away, without profile. What came out is kept by `checks`.
"""

import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stages.core import streams
from stages.core.counts import counted
from stages.core.errors import ParamsError, RunError
from stages.core.params import Params
from stages.pages.formatting import duration
from stages.reporting.repeat import origin_of
from stages.runs.cell_file import damaged_table, mend_of_cell, read_cell, seconds_again
from stages.runs.schema import CELL_PREDICTIONS
from stages.studies.run.cell import make_cell
from stages.studies.run.checks import Check, add_check, checks_told
from stages.studies.run.machine import declared_id, machine_of
from stages.studies.spec.identity import identity_of, params_behind
from stages.studies.spec.listed_pictures import listed_pictures, of_other_pictures
from stages.studies.spec.study_config import Cell, StudyConfig

Log = Callable[[str], None]


@dataclass(frozen=True)
class Record:
    """A cell that was made: where its files lie and what its main one holds."""

    cell: Cell
    folder: Path
    found: dict[str, Any]


def verify(form: StudyConfig, count: int, seed: int | None, log: Log) -> int:
    """Draw `count` cells, repeat and judge them; 0 when all hold, else 1.

    Without a seed another draw is made each time. Raises ParamsError for a count below one,
    RunError when no cell can be repeated, and as making a cell does.
    """
    if count < 1:
        raise ParamsError(f"--cells is {count}; allowed is a number from 1.")
    seed = secrets.randbelow(2**31) if seed is None else seed
    records = _records(form, declared_id(form.params(form.cells[0])))
    order = streams.order(streams.stream(seed, "verify", form.name), len(records))
    drawn = [records[place] for place in order[:count]]
    for record in drawn:
        _require_whole(record)
    left = sum(seconds_again(record.found) for record in drawn)
    log(
        f"{len(drawn)} of {counted(len(records), 'cell')}, drawn with --seed {seed}; they take "
        f"about {duration(left)} where they were made, their profiles not counted."
    )
    checks, pace = [], 1.0
    for number, record in enumerate(drawn, 1):
        log(f"{number} of {len(drawn)}: {record.cell.name}, about {duration(pace * left)} to go")
        started = time.perf_counter()
        checks.append(_check(form, record, log))
        took, told = time.perf_counter() - started, seconds_again(record.found)
        pace, left = took / told, left - told
        log(f"{record.cell.name}: {checks[-1]['result']} ({duration(took)})")
        add_check(form, checks[-1])
    log("\n".join(checks_told(checks)))
    return 0 if all(check["verified"] for check in checks) else 1


def _require_whole(record: Record) -> None:
    """Raise RunError for a record with a damaged table, which no repetition could be like."""
    if fault := damaged_table(record.folder, record.found):
        raise RunError(
            f"{record.folder}: {fault}, so there is nothing to hold a repetition against. "
            f"{mend_of_cell(record.folder.as_posix())}"
        )


def _records(form: StudyConfig, here: str) -> list[Record]:
    """A record per cell whose parameters and pictures still stand, this machine's if there is."""
    found, others, listed = [], 0, listed_pictures(form)
    for cell in form.cells:
        places = [form.cells_folder, *sorted(form.machines_folder.glob("*/"))]
        known = [(place / cell.name, read_cell(place / cell.name)) for place in places]
        made = [Record(cell, folder, read) for folder, read in known if read]
        params = form.params(cell)
        valid = [
            one
            for one in made
            if one.found["params_id"] == identity_of(params)
            and not of_other_pictures(one.found, params.dataset, listed)
        ]
        others += bool(made) and not valid
        if valid:
            found.append(min(valid, key=lambda one: one.found["machine"]["declared_id"] != here))
    if not found:
        of_others = "have other parameters or pictures now"
        why = f"; {counted(others, 'cell')} {of_others}" if others else ""
        raise RunError(
            f"{form.name} has no cell to verify{why}. Run `{form.repro('-k')}` first, or name its "
            "small form, NAME/small, if that was run."
        )
    return found


def _check(form: StudyConfig, record: Record, log: Log) -> Check:
    cell, found = record.cell, record.found
    params = params_behind(found, form.params(cell))
    machine = machine_of(params)
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder)
        make_cell(form, cell, params, again, log, found)
        result, told, verified = _judged(record.folder, again, params, machine["id"])
    origin = origin_of()
    edited = " with edits" if origin.revision and not origin.clean else ""
    return {
        "cell": cell.name,
        "made_on": found["machine"]["id"],
        "params_id": found["params_id"],
        "weights_hash": (found.get("train") or {}).get("weights_hash"),
        "machine": machine,
        "commit": f"{origin.revision or 'unknown'}{edited}",
        "result": result,
        "told": told,
        "verified": verified,
    }


def _judged(record: Path, again: Path, params: Params, here: str) -> tuple[str, str, bool]:
    """The result in words, in a sentence, and whether the record holds."""
    from stages.comparison.analysis.compare_runs import compare_runs
    from stages.comparison.page.wording import sentence_of
    from stages.runs.run import load_run
    from stages.runs.sources import open_source

    made = read_cell(record) or {}
    if _bits(record) == _bits(again):
        return "bit by bit", "Weights and answers are the same bits.", True
    known = params.model_dump(mode="json")
    a, b = (
        replace(load_run(open_source(str(folder))), name=name, params=known)
        for folder, name in ((record, "the record"), (again, "the repetition"))
    )
    verdict = compare_runs(a, b).verdict
    same_machine = made["machine"]["id"] == here
    result = "other bits on the same machine" if same_machine else verdict.rung.words
    return result, sentence_of(verdict), verdict.exit_status == 0 and not same_machine


def _bits(folder: Path) -> list[Any]:
    """What must be equal: how the run ended, its weights, and its answers."""
    found = read_cell(folder) or {}
    weights = (found.get("train") or {}).get("weights_hash")
    answers = (folder / CELL_PREDICTIONS).read_bytes()
    return [found["status"], found["diverged"], weights, answers]
