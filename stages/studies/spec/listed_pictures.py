"""What a study's `pictures.json` and `picture_notes.json` say, and which cells are of others.

Leaves looking at the pictures themselves and writing the files to `stages.studies.run.pictures`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core import files
from stages.core.counts import counted
from stages.core.errors import DataError, RunError
from stages.core.paths import PARAMS
from stages.core.records import read_record
from stages.core.sections import Dataset, Subset
from stages.datasets.selection import require_enough
from stages.runs.schema import STUDY_PICTURE_NOTES, STUDY_PICTURES
from stages.studies.spec.study_config import StudyConfig

UNFETCHED = {"note": "not fetched when the pictures were listed; its archive is pinned by a hash"}
NO_DRAW = "without_a_draw"
"""The key of draws that cannot be: `subset` as params have it, and `why`."""


def listed_path(form: StudyConfig) -> Path:
    """Where the form's list lies."""
    return form.folder / STUDY_PICTURES


def listed_pictures(form: StudyConfig) -> dict[str, Any]:
    """What is listed of each data set, by `listed_name`; nothing before the first listing."""
    path = listed_path(form)
    return dict(files.read_json(path)) if path.exists() else {}


def notes_path(form: StudyConfig) -> Path:
    """Where the notes on the form's pictures lie."""
    return form.folder / STUDY_PICTURE_NOTES


def noted_pictures(form: StudyConfig) -> dict[str, Any]:
    """What is noted of each data set, by `listed_name`; nothing before the first listing.

    Raises RunError when the file is damaged.
    """
    path = notes_path(form)
    try:
        return read_record(path) if path.exists() else {}
    except RunError:
        raise RunError(
            f"{path} is damaged or was edited. Delete it and run "
            f"`{form.repro('-s', 'pictures')}` where the pictures are, or if it is in git, "
            f"`git restore {path}`."
        ) from None


def without_a_draw(form: StudyConfig) -> dict[str, str]:
    """Why cells of the form can never draw their images, by the cell's name: as was noted, or for
    sizes that were added since by the number of images that were listed.

    Raises RunError as `noted_pictures`.
    """
    noted, listed = noted_pictures(form), listed_pictures(form)
    found = {}
    for cell in form.cells:
        params = form.params(cell)
        name, subset = listed_name(params.dataset), params.subset.model_dump(mode="json")
        images = listed.get(name, {}).get("images")
        if images and (why := _too_few(form, params.subset, images)):
            found[cell.name] = why
        for refused in noted.get(name, {}).get(NO_DRAW, []):
            if refused["subset"] == subset:
                found[cell.name] = str(refused["why"])
    return found


def _too_few(form: StudyConfig, subset: Subset, images: Mapping[str, int]) -> str:
    """Why so many images per split cannot be enough; empty where they may be."""
    try:
        require_enough(subset, images)
    except DataError as error:
        return in_the_studys_words(form, error)
    return ""


def in_the_studys_words(form: StudyConfig, error: DataError) -> str:
    """What refuses a draw, with the place where a study sets what the pipeline's key does."""
    said = str(error)
    if "`subset.train`" in said:
        said += f" In a study `subset.train` is a value of `sizes` in {form.folder / PARAMS}."
    return said


def told_without_a_draw(refused: Mapping[str, str]) -> list[str]:
    """A sentence per reason of `without_a_draw`."""
    cells: dict[str, list[str]] = {}
    for name, why in refused.items():
        cells.setdefault(why, []).append(name)
    return [
        f"{counted(len(names), 'cell')} cannot draw images, such as {names[0]}: {why}"
        for why, names in cells.items()
    ]


def listed_name(dataset: Dataset) -> str:
    """What a data set is called there: a folder of pictures with the table of its labels."""
    if dataset.name != "image_folder":
        return dataset.name
    return dataset.folder + (f" by {dataset.labels}" if dataset.labels else "")


def of_other_pictures(
    found: Mapping[str, Any], dataset: Dataset, listed: Mapping[str, Any]
) -> bool:
    """Whether a cell's file says that it was made of other pictures than are `listed`.

    Where `dataset` is not listed yet, whether it is of another folder. False where either does not
    tell, as files of earlier cells do not.
    """
    made, name = found.get("pictures_sha256"), listed_name(dataset)
    if listed and name not in listed:
        own = (found.get("params") or {}).get("dataset") or {}
        there = {key: own[key] for key in ("name", "folder", "labels") if key in own}
        return listed_name(dataset.model_copy(update=there)) != name
    present = listed.get(name, {}).get("sha256")
    return None not in (made, present) and made != present
