"""The pictures of a study in git: `pictures.json`, on which its cells depend.

The file has a few lines per data set: how many images and classes, and a hash of their list. Where
the pictures are not at hand, as in a fresh clone, those lines stand and cells that exist need not
run.
"""

from collections import Counter
from pathlib import Path
from typing import Any

from stages.core import files
from stages.core.errors import DataError
from stages.core.params import Dataset
from stages.datasets import open_collection
from stages.datasets.pool import Pool
from stages.runs.schema import STUDY_PICTURES
from stages.studies.run.pools import is_here, located, pool_here, summary_here
from stages.studies.spec.study_config import StudyConfig


def list_pictures(form: StudyConfig) -> list[str]:
    """Write `pictures.json` anew; return a line per data set.

    Raises DataError when pictures can neither be read nor were listed before.
    """
    wanted: dict[str, tuple[Dataset, int]] = {}
    for cell in form.cells:
        params = form.params(cell)
        name = _name(params.dataset)
        largest = max(params.input_size, wanted[name][1] if name in wanted else 0)
        wanted[name] = (params.dataset, largest)
    known, listed, told = _listed(form), {}, []
    for name, (dataset, input_px) in wanted.items():
        absent = name in known and not is_here(located(dataset))
        listed[name] = known[name] if absent else summary_here(located(dataset), input_px)
        images = sum(listed[name]["images"].values())
        told.append(f"{name}: {images:,} images" + (", listed before, not here" if absent else ""))
    files.write_json(_path(form), listed)
    return told


def pool_for(form: StudyConfig, dataset: Dataset, input_px: int) -> Pool:
    """The pool that a cell chooses from.

    Raises DataError as reading does, and when the pictures are not those that were listed.
    """
    pool, summary = pool_here(located(dataset), input_px)
    name = _name(dataset)
    listed = _listed(form).get(name, summary)
    if listed != summary:
        raise DataError(
            f"The pictures of {name} are not those in {_path(form)}: {_told(summary)} instead of "
            f"{_told(listed)}, or others of that number. List them anew, and run the cells again, "
            f"with: {form.repro('-k')}"
        )
    return pool


def images_by_split(form: StudyConfig, dataset: Dataset) -> dict[str, int] | None:
    """How many images each split has: as listed, else as a folder here has them by its names.

    None where neither tells. Raises DataError for a folder that cannot be read as a data set.
    """
    if listed := _listed(form).get(_name(dataset)):
        return dict(listed["images"])
    if dataset.name == "image_folder" and is_here(located(dataset)):
        return dict(Counter(open_collection(located(dataset)).splits))
    return None


def _name(dataset: Dataset) -> str:
    if dataset.name != "image_folder":
        return dataset.name
    return dataset.folder + (f" by {dataset.labels}" if dataset.labels else "")


def _told(summary: dict[str, Any]) -> str:
    return f"{sum(summary['images'].values()):,} images of {summary['classes']} classes"


def _path(form: StudyConfig) -> Path:
    return form.folder / STUDY_PICTURES


def _listed(form: StudyConfig) -> dict[str, Any]:
    path = _path(form)
    return dict(files.read_json(path)) if path.exists() else {}
