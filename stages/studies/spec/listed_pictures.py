"""What a study's `pictures.json` and `picture_notes.json` say, and which cells are of others.

Leaves looking at the pictures themselves and writing the files to `stages.studies.run.pictures`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core import files
from stages.core.counts import counted
from stages.core.errors import DataError, ParamsError, RunError
from stages.core.params import Params
from stages.core.paths import PARAMS
from stages.core.records import read_record
from stages.core.sections import Dataset
from stages.datasets.selection import require_enough
from stages.runs.schema import STUDY_PICTURE_NOTES, STUDY_PICTURES
from stages.studies.spec.identity import identity_of
from stages.studies.spec.study_config import Cell, StudyConfig

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
    found, drawn = dict[str, str](), dict[tuple[object, ...], Cell]()
    for cell in form.cells:
        params = form.params(cell)
        name, subset = listed_name(params.dataset), params.subset.model_dump(mode="json")
        images = listed.get(name, {}).get("images")
        if images and (why := _refused(form, cell, images, drawn)):
            found[cell.name] = why
        for refused in noted.get(name, {}).get(NO_DRAW, []):
            if refused["subset"] == subset:
                found[cell.name] = str(refused["why"])
    return found


def _refused(
    form: StudyConfig, cell: Cell, images: Mapping[str, int], drawn: dict[tuple[object, ...], Cell]
) -> str:
    """Why so many images per split cannot be enough, or are those of another size; else empty."""
    try:
        require_other_images(form, cell, require_enough(form.params(cell).subset, images)[0], drawn)
    except DataError as error:
        return in_the_studys_words(form, error)
    except ParamsError as error:
        return str(error)
    return ""


def require_other_images(
    form: StudyConfig, cell: Cell, images: int, drawn: dict[tuple[object, ...], Cell]
) -> None:
    """Raise ParamsError where a size trains the very cell that another name of it does.

    `images` are trained; `drawn` holds the cells before it, and takes it up.
    """
    rest = form.params(cell).subset.model_copy(update={"train": "full"}).model_dump_json()
    twin = drawn.setdefault((cell.model, cell.recipe, cell.seed, rest, images), cell)
    if twin is not cell:
        raise ParamsError(
            f"{form.folder / PARAMS}: the sizes {twin.size} and {cell.size} of {cell.model} are "
            f"both {images:,} images, so the same runs would count twice. Leave one out."
        )


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


def is_current(found: Mapping[str, Any], params: Params, listed: Mapping[str, Any]) -> bool:
    """Whether a cell's file is of these parameters and, as far as it tells, of what is `listed`."""
    of_others = of_other_pictures(found, params.dataset, listed)
    return found["params_id"] == identity_of(params) and not of_others


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
