"""The pictures of a study in git: `pictures.json`, on which its cells depend, and notes beside it.

The first has a few lines per data set: how many images and classes, and a hash of their list. Where
the pictures are not at hand, as in a fresh clone, those lines stand and cells that exist need not
run. A data set of the table that cannot be fetched is noted as such, so that cells of others run;
the note stands when it can be, for its archive is pinned by its own hash and no cell has to run
again.
"""

from collections import Counter
from typing import Any

from stages.core import files
from stages.core.errors import DataError
from stages.core.paths import PARAMS
from stages.core.records import write_record
from stages.core.sections import Dataset
from stages.datasets import open_collection
from stages.datasets.pool import Pool
from stages.studies.run.picture_notes import notes_on
from stages.studies.run.pools import is_here, is_read, kept_here, located, pool_here, read_summary
from stages.studies.spec.listed_pictures import (
    UNFETCHED,
    listed_name,
    listed_path,
    listed_pictures,
    noted_pictures,
    notes_path,
)
from stages.studies.spec.study_config import StudyConfig


def list_pictures(form: StudyConfig) -> list[str]:
    """Write `pictures.json` and `picture_notes.json` anew; return a line per data set and note.

    Raises DataError when pictures can neither be read nor were listed before, and when no cell can
    draw its images; of several data sets those that cannot be fetched may lack.
    """
    wanted: dict[str, tuple[Dataset, int]] = {}
    for cell in form.cells:
        params = form.params(cell)
        name = listed_name(params.dataset)
        largest = max(params.input_size, wanted[name][1] if name in wanted else 0)
        wanted[name] = (params.dataset, largest)
    known, failure = listed_pictures(form), None
    listed: dict[str, Any] = {}
    noted: dict[str, Any] = {}
    told = []
    for name, (dataset, input_px) in wanted.items():
        stands = name in known and (known[name] == UNFETCHED or not is_here(located(dataset)))
        try:
            if stands:
                listed[name], noted[name] = known[name], noted_pictures(form).get(name)
            else:
                kept = kept_here(located(dataset), input_px)
                listed[name], noted[name] = kept.summary, notes_on(form, name, kept)
        except DataError as error:
            if dataset.name == "image_folder":
                raise DataError(
                    f"{error} `dataset` and the rest of `subset` stand under `base` or a recipe of "
                    f"{form.folder / PARAMS}."
                ) from None
            listed[name], noted[name], failure = UNFETCHED, None, error
            told.append(f"{name}: left to its cells. {error}")
            continue
        here = ", listed before, not here" if stands else ""
        if listed[name] == UNFETCHED:
            told.append(f"{name}: not fetched yet; its cells will ask for it")
        else:
            told.append(f"{name}: {_images(listed[name])}{here}")
            told += [f"{note}." for note in (noted[name] or {}).get("notes", [])]
    if failure and all(found == UNFETCHED for found in listed.values()):
        raise failure
    write_record(notes_path(form), {name: found for name, found in noted.items() if found})
    files.write_json(listed_path(form), listed)
    return told


def pool_for(form: StudyConfig, dataset: Dataset, input_px: int) -> tuple[Pool, str]:
    """The pool that a cell chooses from, and the hash of its list.

    Raises DataError as reading does, and when the pictures are not those that were listed.
    """
    pool, summary = pool_here(located(dataset), input_px)
    name = listed_name(dataset)
    listed = listed_pictures(form).get(name, summary)
    if listed not in (summary, UNFETCHED):
        before, now = _told(listed), _told(summary)
        how = f"{now} instead of {before}" if now != before else f"{now} as before, but others"
        raise DataError(
            f"The pictures of {name} are not those in {listed_path(form)}: {how}. List them anew, "
            f"and run the cells again, with: {form.repro('-k')}"
        )
    return pool, str(summary["sha256"])


def unread(form: StudyConfig) -> list[str]:
    """Folders and archives that are here and were not read as they are."""
    return [name for name, dataset in _folders(form).items()
            if is_here(dataset) and not is_read(dataset)]  # fmt: skip


def not_as_listed(form: StudyConfig) -> list[str]:
    """Folders and archives that were read as they are, and are others than the list says."""
    listed = listed_pictures(form)
    return [
        name for name, dataset in _folders(form).items()
        if is_here(dataset)
        and is_read(dataset)
        and (read := read_summary(dataset)) is not None  # None: the note of it is damaged
        and listed.get(name) != read
    ]  # fmt: skip


def pictures_away(form: StudyConfig) -> list[str]:
    """Folders and archives of pictures that are not on this disk."""
    return [name for name, dataset in _folders(form).items() if not is_here(dataset)]


def _folders(form: StudyConfig) -> dict[str, Dataset]:
    """The form's folders and archives of pictures by `listed_name`."""
    every = (form.params(cell).dataset for cell in form.cells)
    return {listed_name(one): located(one) for one in every if one.name == "image_folder"}


def images_by_split(form: StudyConfig, dataset: Dataset) -> dict[str, int] | None:
    """How many images each split has: as listed, else as a folder here has them by its names.

    None where neither tells. Raises DataError for a folder that cannot be read as a data set.
    """
    if images := listed_pictures(form).get(listed_name(dataset), {}).get("images"):
        return dict(images)
    if dataset.name == "image_folder" and is_here(located(dataset)):
        return dict(Counter(open_collection(located(dataset)).splits))
    return None


def _images(listed: dict[str, Any]) -> str:
    return f"{sum(listed.get('images', {}).values()):,} images"


def _told(summary: dict[str, Any]) -> str:
    return f"{_images(summary)} of {summary['classes']} classes"
