"""Cells kept for good by the machine that made them, so that another machine's may stand beside.

DVC's `cells/` holds the cells of one machine, the last that ran; `machines/<hardware DNA>/` is
plain files in git, which the page reads as further machines.
"""

from collections import Counter

from stages.core.errors import RunError
from stages.core.files import replacing
from stages.studies.analysis.record import parse_cell
from stages.studies.analysis.results import files_in, files_of
from stages.studies.spec.study_config import StudyConfig


def keep_cells(form: StudyConfig, revision: str | None = None) -> str:
    """Copy the finished cells, of the working tree or of a revision; return what was kept.

    Raises RunError when there are none or one is damaged.
    """
    files = files_of(form, revision) if revision else files_in(form, form.cells_folder)
    counts: Counter[str] = Counter()
    for cell in form.cells:
        own = {path: content for path, content in files.items() if path.startswith(f"{cell.name}/")}
        if (where := f"{cell.name}/cell.json") not in own:
            continue
        machine = str(parse_cell(own[where], where)["machine"]["id"])
        for path, content in own.items():
            with replacing(form.machines_folder / machine / path) as new:
                new.write_bytes(content)
        counts[machine] += 1
    if not counts:
        raise RunError(
            f"{form.name} has no finished cell{f' in {revision}' if revision else ''}: run "
            f"`{form.repro('-k')}` first, or name a branch with `--from` that has some."
        )
    return "\n".join(
        f"{form.machines_folder / machine}: {count} of {len(form.cells)} cells"
        for machine, count in counts.items()
    )
