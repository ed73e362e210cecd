"""Cells kept for good by the machine that made them, so that another machine's may stand beside.

DVC's `cells/` holds the cells of one machine, the last that ran; `machines/<hardware DNA>/` is
plain files in git, which the page reads as further machines.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.counts import counted
from stages.core.errors import RunError
from stages.core.files import replacing
from stages.core.records import FILES
from stages.runs.cell_file import (
    disagreement,
    mend_of_cell,
    parse_cell,
    place_of,
    read_or_fault,
)
from stages.runs.schema import CELL, CELL_FILES, CELL_PREDICTIONS
from stages.runs.sources import WORKSPACE
from stages.studies.analysis.reading import cells_of
from stages.studies.spec.listed_pictures import is_current, listed_pictures
from stages.studies.spec.study_config import StudyConfig


def keep_cells(form: StudyConfig, revision: str | None = None) -> str:
    """Copy the finished cells, of the working tree or of a revision; return what was kept.

    Raises RunError when there are none or one is damaged.
    """
    counts: Counter[str] = Counter()
    outdated, left, listed = 0, 0, listed_pictures(form)
    cells = cells_of(form, revision or WORKSPACE)
    for cell in form.cells:
        source, params = cells.within(Path(cell.name)), form.params(cell)
        files = {name: source.read(name) for name in CELL_FILES}
        if (about := files[CELL]) is None:
            continue
        found = parse_cell(about, f"{source.name}/{CELL}")
        _require_whole(found, files, source.name)
        machine, current = str(found["machine"]["id"]), is_current(found, params, listed)
        place = form.machines_folder / machine / cell.name
        before, _ = read_or_fault(place)
        if before and not current and is_current(before, params, listed):
            left += 1
            continue
        for name, content in files.items():
            if content is not None:
                with replacing(place / name) as new:
                    new.write_bytes(content)
        counts[machine] += 1
        outdated += not current
    if not (counts or left):
        raise RunError(
            f"{form.name} has no finished cell{f' in {revision}' if revision else ''}: run "
            f"`{form.repro('-k')}` first, or name a branch with `--from` that has some."
        )
    told = [
        f"{form.machines_folder / machine}: {count} of {len(form.cells)} cells"
        for machine, count in counts.items()
    ]
    if outdated:
        told.append(
            f"{counted(outdated, 'of them is', 'of them are')} of other parameters or pictures "
            "than the study has now: the page leaves such cells out."
        )
    if left:
        told.append(
            f"{counted(left, 'cell is', 'cells are')} of other parameters or pictures than the "
            "study has now, and not kept: those that were kept before are of the present ones."
        )
    return "\n".join(told)


def _require_whole(
    found: Mapping[str, Any], files: Mapping[Path, bytes | None], where: str
) -> None:
    """Raise RunError for a cell whose files are not those that it recorded."""
    for name, digest in (found.get(FILES) or {}).items():
        if hashlib.sha256(files[Path(name)] or b"").hexdigest() != digest:
            raise RunError(
                f"{place_of(where)}/{name} is damaged or gone, so this cell is not kept. "
                f"{mend_of_cell(where)}"
            )
    answers = files[CELL_PREDICTIONS] or b""
    if FILES not in found and (fault := disagreement(found, answers)):
        raise RunError(
            f"{place_of(where)}: {fault}, so this cell is not kept. {mend_of_cell(where)}"
        )
