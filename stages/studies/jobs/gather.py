"""Results from nodes and branches, put into the study as if its cells had run here.

DVC records them in `dvc.lock` and its run cache, which runs nothing, and the page is written anew.
"""

import logging
import shutil
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

from tqdm import tqdm

from stages.core.counts import counted
from stages.core.errors import RunError
from stages.core.paths import PIPELINE, STUDIES
from stages.runs.sources import Source, open_source
from stages.studies.analysis.reading import cells_of
from stages.studies.jobs.results import put, result_of
from stages.studies.jobs.status import (
    DONE,
    RUNNING,
    WAITING,
    Standing,
    at_work,
    standings,
    summary,
    tasks_of,
)
from stages.studies.jobs.submission import Submission, alone, list_inputs, submissions
from stages.studies.page.page import write_page
from stages.studies.spec.pipeline_file import require_wired
from stages.studies.spec.study_config import Cell, StudyConfig
from stages.studies.spec.study_source import load_study_source

SECONDS = (1, 30)
"""Between two looks at the queue, at least and at most: a twentieth of the time waited so far."""


def gather(form: StudyConfig, revisions: Sequence[str] = (), waiting: bool = False) -> str:
    """Take what has finished, of submissions and of revisions; return what came and what lacks.

    With `waiting`, when no task is left.

    Raises RunError for an unknown revision, a damaged result, or while another process gathers;
    ParamsError where dvc.yaml is not that of the grids.
    """
    load_study_source(form)  # what is wrong with the study is told now, not after hours
    require_wired(form)
    for name in revisions:
        cells_of(form, name)
    if waiting:
        list_inputs(form)
        _wait(form)
    elsewhere = [open_source(name).within(form.folder) for name in revisions]
    with alone(form):
        list_inputs(form)
        found, every = standings(form), submissions(form)
        missing = [one.cell for one in found if one.state != DONE]
        came = [cell for cell in missing if _take(form, cell, every, elsewhere)]
        if came:
            _record(form, came)
            write_page(form.name)
        found = [Standing(one.cell, DONE) if one.cell in came else one for one in found]
        _forget(every, found)
    left = _left(form, missing, came, elsewhere)
    return f"Gathered {counted(len(came), 'cell')}: {summary(found)}.{left}"


def _take(
    form: StudyConfig, cell: Cell, every: Sequence[Submission], elsewhere: Sequence[Source]
) -> bool:
    """Put a cell's result into the study; whether there is one."""
    submitted = (one.source(form, cell.name) for one in every if cell.name in one.cells)
    for source in [*filter(None, submitted), *elsewhere]:
        if found := result_of(form, cell, source):
            put(form, cell, found)
            return True
    return False


def _record(form: StudyConfig, cells: Sequence[Cell]) -> None:
    """Have DVC take the cells for run: `dvc commit -f`, which writes the lock anew for each cell.

    Raises RunError where another DVC command is at work.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    logging.getLogger("dvc").setLevel(logging.WARNING)
    names = {f"{cell.grid}@{cell.name}" for cell in cells}
    try:
        with chdir(STUDIES), Repo() as repo, lock_repo(repo):
            every = repo.stage.load_file(f"{form.name}/{PIPELINE}")
            stages = [stage for stage in every if stage.name in names]
            for stage in stages:
                stage.save()  # and its run cache; `commit` is for outputs that git does not keep
            stages[0].dvcfile.dump_stages(stages, update_pipeline=False)
    except DvcException as error:
        raise RunError(
            f"The cells are in {form.cells_folder}, but DVC could not record them: {error}. Run "
            f"`dvc --cd {STUDIES} commit {form.name}/dvc.yaml` when that is mended."
        ) from None


def _left(
    form: StudyConfig, missing: Sequence[Cell], came: Sequence[Cell], elsewhere: Sequence[Source]
) -> str:
    """What to know of cells of revisions that do not count."""
    others = [cell for cell in missing if cell not in came]
    count = sum(bool(one.names(Path("cells") / cell.name)) for one in elsewhere for cell in others)
    if not count:
        return ""
    return (
        f" Not counted: {counted(count, 'cell')} there, of other parameters or pictures, or of "
        f"another machine (`machines: {form.file.machines}`). `python -m stages.study keep "
        f"{form.name} --from REVISION` puts those of another machine on the page beside this "
        "study's; parameters and pictures have to be the same."
    )


def _forget(every: Sequence[Submission], found: Sequence[Standing]) -> None:
    """Remove submissions of which every cell is here and no task is left."""
    lacking = {one.cell.name for one in found if one.state != DONE}
    tasks = tasks_of(every)
    for one in every:
        ended = not any(at_work(one, cell, tasks) for cell in one.cells)
        if ended and not lacking & set(one.cells):
            shutil.rmtree(one.folder)


def _wait(form: StudyConfig) -> None:
    """Until no task of the form is left, with a line that says how far they are and how long yet.

    Raises RunError on Ctrl-C, which leaves the jobs alone.
    """
    try:
        found = standings(form)
        began, start = time.monotonic(), sum(one.share for one in found)
        shape = "{percentage:3.0f}% {elapsed}<{remaining} {desc}"
        with tqdm(total=len(found), initial=start, bar_format=shape, disable=None) as bar:
            while any(one.state in (RUNNING, WAITING) for one in found):
                least, most = SECONDS
                time.sleep(min(max((time.monotonic() - began) / 20, least), most))
                found = standings(form)
                bar.set_description_str(summary(found), refresh=False)
                bar.update(sum(one.share for one in found) - bar.n)
    except KeyboardInterrupt:
        raise RunError(
            f"Waiting was interrupted; the jobs go on. `python -m stages.study status {form.name}` "
            f"shows how far they are, `gather {form.name}` takes what has finished."
        ) from None
