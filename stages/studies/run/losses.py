"""Refuse what would lose results: cells that DVC removes to run them again, and that cannot run.

The stage `pictures` runs before all cells, while their results are still there.
"""

from stages.core.counts import counted
from stages.core.errors import DataError
from stages.runs.schema import CELL
from stages.studies.run.pools import is_here, located
from stages.studies.run.states import states_of
from stages.studies.spec.study_config import StudyConfig


def require_pictures_of_outdated(form: StudyConfig) -> None:
    """Raise DataError where results are outdated and the pictures to make them anew are not here.

    Outdated are those of another machine, other parameters or pictures.
    """
    states = states_of(form)
    outdated = [
        cell
        for cell in form.cells
        if states[cell.name].missing and (form.cell_folder(cell) / CELL).exists()
    ]
    absent = {
        dataset.folder
        for dataset in (form.params(cell).dataset for cell in outdated)
        if dataset.name == "image_folder" and not is_here(located(dataset))
    }
    if absent:
        first = outdated[0].name
        raise DataError(
            f"`dataset.folder` {' and '.join(sorted(absent))} is not here, and "
            f"{counted(len(outdated), 'result')} would have to be made anew, such as {first}: "
            f"{states[first]}. DVC would remove them first, so nothing is run. Put the pictures "
            f"there. The page of what is there: python -m stages.study page {form.name}"
        )
