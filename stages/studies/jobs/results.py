"""A cell's result that lies elsewhere: taken only where DVC would take it for this study's."""

from pathlib import Path

from stages.core.files import replacing
from stages.runs.cell_file import parse_cell
from stages.runs.schema import CELL, CELL_FILES, STUDY_IDENTITY, STUDY_PICTURES
from stages.runs.sources import Source
from stages.studies.run.states import state_of
from stages.studies.spec.listed_pictures import listed_pictures
from stages.studies.spec.study_config import Cell, StudyConfig

Files = dict[Path, bytes]


def result_of(form: StudyConfig, cell: Cell, source: Source) -> Files | None:
    """The cell's files in the form's folder of a source; None when it has none that counts.

    One counts that was made with the parameters, the machine (or any) and the pictures of this
    study as it stands. Raises RunError for a damaged one.
    """
    place = source.within(Path(form.cells_folder.name) / cell.name)
    found = {name: content for name in CELL_FILES if (content := place.read(name)) is not None}
    if CELL not in found or not _depends_alike(form, source):
        return None
    about = parse_cell(found[CELL], f"{place.name}/{CELL}")
    state = state_of(about, form.params(cell), None, listed_pictures(form))
    return None if state.missing else found


def _depends_alike(form: StudyConfig, source: Source) -> bool:
    """Whether the files that all cells depend on have the same bytes here and there."""
    here = ((form.folder / name) for name in (STUDY_IDENTITY, STUDY_PICTURES))
    return all(path.exists() and path.read_bytes() == source.read(Path(path.name)) for path in here)


def put(form: StudyConfig, cell: Cell, found: Files) -> None:
    """Write a result into the study, the file that makes it one last."""
    for name in reversed(CELL_FILES):
        if name in found:
            with replacing(form.cell_folder(cell) / name) as new:
                new.write_bytes(found[name])
