"""A study's `cell.json`, read back without pandas so that the plan of a study is quick."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from stages.core.combinations import AT_ONCE
from stages.core.errors import RunError
from stages.core.files import sha256_of_file
from stages.core.mistakes import first_mistake
from stages.core.paths import STUDIES
from stages.core.records import FILES, SEAL, unsealed
from stages.runs.schema import CELL, CELL_PREDICTIONS, accuracies_of
from stages.runs.sources import WORKSPACE

Section = dict[str, Any] | None


def _measured(section: Section) -> Section:
    """A section of metrics: what is worked with, accuracies, losses and seconds, is numbers."""
    for key, value in (section or {}).items():
        worked = key.startswith(("test_", "train_", "val_")) or key.endswith("_seconds")
        number = value is None or isinstance(value, int | float)
        if worked and not number and not key.endswith("_hash"):
            raise PydanticCustomError("measured", "`{key}` is no number", {"key": key})
    return section


Metrics = Annotated[Section, AfterValidator(_measured)]


class _Machine(BaseModel):
    id: str
    declared_id: str


class _Divergence(BaseModel):
    epoch: int
    precision: str


class _Record(BaseModel):
    """What every reader of a cell relies on; a cell holds more."""

    cell: str
    model: str
    size: int | str
    recipe: str
    seed: int
    status: str
    dataset: str
    task: str
    params_id: str
    cell_seconds: float
    machine: _Machine
    params: Section = None
    diverged: _Divergence | None = None
    trace: Section = None
    train: Metrics = None
    evaluate: Metrics = None
    profile: Metrics = None

    @model_validator(mode="after")
    def _finished_has_both(self) -> Self:
        if self.status == "finished" and not (self.train and self.evaluate):
            raise PydanticCustomError("unfinished", "it is called finished, and has no metrics")
        lacking = [name for name in accuracies_of(self.evaluate or {})
                   if f"train_{name}" not in (self.train or {})]  # fmt: skip
        if lacking:
            raise PydanticCustomError(
                "unfinished", "`train` has no `train_{name}`", {"name": lacking[0]}
            )
        return self


def read_cell(folder: Path) -> dict[str, Any] | None:
    """`cell.json` of one cell; None when it has not run. Raises RunError when it is damaged."""
    path = folder / CELL
    return parse_cell(path.read_bytes(), path.as_posix()) if path.exists() else None


def took_seconds(cell: Mapping[str, Any]) -> float:
    """Seconds that a cell took, without the features that it shared.

    After a break its process knows of its own time alone, and the training of that before as well.
    """
    whole = float(cell["cell_seconds"])
    at_once = (cell.get("params") or {}).get("finetune") in AT_ONCE
    return whole if at_once else max(whole, (cell.get("train") or {}).get("train_seconds") or 0.0)


def undisturbed_seconds(train: Mapping[str, Any]) -> float | None:
    """Seconds of a cell's training, each epoch counted as the median one; None without a training.

    All epochs of a recipe are the same work but for what the first does once (`train.compile`), and
    `train_seconds` is the clock's: a machine that was paused, or that another program had for a
    while, is in it. No more than the clock's: most epochs may have been the slow ones.
    """
    clock = train.get("train_seconds")
    epoch, epochs = train.get("epoch_seconds_p50"), train.get("epochs_run")
    return min(clock, epoch * epochs) if clock and epoch and epochs else clock


def seconds_again(cell: Mapping[str, Any]) -> float:
    """Seconds that a cell like this one takes where nothing disturbs it and its network's profile
    is there already.
    """
    train = cell.get("train") or {}
    own = float(cell["cell_seconds"]) - float(cell.get("profile_seconds") or 0.0)
    pauses = (train.get("train_seconds") or 0.0) - (undisturbed_seconds(train) or 0.0)
    return took_seconds({**cell, "cell_seconds": own}) - pauses


def mend_of_cell(where: str) -> str:
    """What to do about a cell whose files are damaged, by its folder, or where it is seen from a
    revision or a folder around it, that and `:` before it.
    """
    revision, _, place = place_of(where).rpartition(":")
    if revision:
        return f"It is so in {revision}: leave that out, or make the cell anew there."
    folder = Path(place)
    name, cells, _ = folder.as_posix().removeprefix(f"{STUDIES}/").partition("/cells/")
    if not cells:
        return f"Delete that folder, or if it is in git, `git restore {folder.as_posix()}`."
    return (
        f"Run `dvc --cd {STUDIES} repro -k {name}/dvc.yaml`, which makes it anew, or if it is in "
        f"git, `git restore {folder.as_posix()}`."
    )


def place_of(where: str) -> str:
    """A path where a source's name is one on this disk; else that name, `REVISION:PATH`."""
    revision, _, place = where.rpartition(":")
    if revision == WORKSPACE:
        return place
    return f"{Path(revision) / place}" if Path(revision).is_dir() and revision else where


def read_or_fault(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """`cell.json` as `read_cell`, None for a damaged one, and what is the matter with the files."""
    try:
        cell = read_cell(folder)
    except (RunError, IsADirectoryError):
        return None, f"{CELL} is damaged"
    if cell and not folder.as_posix().endswith(f"/{cell['cell']}"):
        return None, f"{CELL} is of {cell['cell']}"
    return cell, damaged_table(folder, cell or {})


def damaged_table(folder: Path, cell: Mapping[str, Any]) -> str:
    """Which table of a cell is gone or is not the one that was recorded; empty for none."""
    answers = folder / CELL_PREDICTIONS
    if FILES not in cell and answers.exists():
        return disagreement(cell, answers.read_bytes())
    for name, digest in (cell.get(FILES) or {}).items():
        path = folder / name
        if not path.exists():
            return f"{name} is gone"
        if sha256_of_file(path) != digest:
            return f"{name} is damaged"
    return ""


def disagreement(cell: Mapping[str, Any], answers: bytes) -> str:
    """In what a record and its predictions.csv disagree; empty for nothing.

    The records of before 0.2 have no hashes by which an edit of one of the two would show.
    """
    evaluate = cell.get("evaluate") or {}
    if not (names := accuracies_of(evaluate)):
        return ""
    told, images = (evaluate.get(key) or 0 for key in (f"test_{names[0]}", "test_images"))
    rows = list(csv.DictReader(answers.decode(errors="replace").splitlines()))
    right = sum(row.get("label") == row.get("predicted") for row in rows)
    if len(rows) == images and math.isclose(right, told * images, abs_tol=1e-6):
        return ""
    return (
        f"{CELL} says that {told:.4g} of {images} answers are right, and {CELL_PREDICTIONS} that "
        f"{right} of {len(rows)} are"
    )


def parse_cell(content: bytes, where: str) -> dict[str, Any]:
    """The content of a `cell.json`. Raises RunError, naming `where`, when it is damaged."""
    try:
        cell = json.loads(content)
        if not isinstance(cell, dict):
            raise ValueError("it does not hold keys and values")
        if (FILES in cell or "params" in cell) and SEAL not in cell:  # came with one version
            raise ValueError(f"its {SEAL} was taken out: it was edited")
        cell = unsealed(cell)
        _Record.model_validate(cell)
    except (ValueError, RecursionError) as error:
        why = first_mistake(error) if isinstance(error, ValidationError) else str(error)
        raise RunError(
            f"{place_of(where)} is no result of a cell ({why.removesuffix('.')}). "
            f"{mend_of_cell(where.rpartition('/')[0])}"
        ) from None
    return cell
