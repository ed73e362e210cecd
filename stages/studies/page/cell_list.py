"""Every cell of a study with its result and the command that repeats it, for each machine."""

from collections.abc import Mapping
from typing import Any

from stages.pages.blocks import Table
from stages.pages.formatting import duration, percent
from stages.studies.analysis.results import Results
from stages.studies.spec.study_config import StudyConfig


def cell_list(form: StudyConfig, results: Results) -> Table:
    """Every cell of the grids on every machine, its result, and the command that repeats it.

    The command names no single stage: on a fresh clone the cell needs the machine's identity and
    the list of pictures first, and DVC makes both.
    """
    ran: dict[str, list[Mapping[Any, Any]]] = {}
    for found in results.cells.to_dict("records"):
        ran.setdefault(found["cell"], []).append(found)
    rows = []
    for cell in form.cells:
        command = form.repro("-f", f"{cell.grid}@{cell.name}")
        for row in ran.get(cell.name, [{}]):
            state = _state(results, row) if row else "not run"
            seconds = duration(row.get("took_seconds")) if row else ""
            rows.append((cell.name, state, seconds, str(row.get("machine", "")), command))
    head = ("run", "result", "took", "hardware DNA", "command that repeats it")
    return Table(head, tuple(rows), numeric=(1, 2))


def _state(results: Results, row: Mapping[Any, Any]) -> str:
    """The main accuracy of the cell's task, or how it diverged."""
    head = results.heads.get(row["problem"])
    if row["why"] or head is None:
        return str(row["why"])
    return percent(row[f"test_{head.metrics[0]}"])
