"""Pools kept below `.work`: a data set is read once, and found again while its pictures stand.

A folder or zip of pictures is known by the names, sizes and times of its files, as DVC knows a
folder; any other data set by its name, for its archive is verified. Shared by all studies. Leaves
fetching and decoding to `stages.datasets` and what git keeps of a pool to `pictures`.
"""

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import files
from stages.core.errors import RunError
from stages.core.params import Params
from stages.core.paths import dvc_root, work_folder
from stages.core.records import read_record, write_record
from stages.core.sections import Dataset
from stages.datasets.data_set import read_data_set
from stages.datasets.decoding import SUFFIXES
from stages.datasets.findings import Findings
from stages.datasets.listing import walk
from stages.datasets.near_duplicates import SMALLEST_PX, read_near_duplicates
from stages.datasets.pool import Pool, read_pool
from stages.runs.code import code_files, code_id

if TYPE_CHECKING:
    import pandas as pd

READING = (  # what they execute decides what is found
    "stages.datasets.data_set",
    "stages.datasets.reading",
    "stages.datasets.near_duplicates",
    "stages.datasets.findings",
)


@dataclass(frozen=True)
class Kept:
    """What is kept of a data set: images per split, classes and a hash of all of it in `summary`.

    `alike` are its near-duplicates, as `datasets.near_duplicates` has them.
    """

    pool: Pool
    summary: dict[str, Any]
    alike: "pd.DataFrame"
    findings: Findings


@dataclass(frozen=True)
class _Files:
    """Where it lies; `about` is written last and says that the tables are complete."""

    table: Path
    alike: Path
    about: Path


def located(dataset: Dataset) -> Dataset:
    """The data set with its folder in the real repository.

    DVC's temporary clones lack pictures, which git does not track.
    """
    return dataset.model_copy(update={"folder": str(dvc_root() / dataset.folder)})


def is_here(dataset: Dataset) -> bool:
    """Whether the pictures lie on this disk, or the pool of a fixed data set is kept."""
    if dataset.name != "image_folder":
        return _kept(dataset).table.exists()
    place = Path(dataset.folder)
    return place.is_file() or any(Path(name).suffix.lower() in SUFFIXES for name in _names(place))


def is_read(dataset: Dataset) -> bool:
    """Whether the data set as it lies here has been read, so that its pool is kept."""
    return _kept(dataset).about.exists()


def read_summary(dataset: Dataset) -> dict[str, Any] | None:
    """The summary of a data set that `is_read`; None where what is kept of it is damaged."""
    try:
        return dict(read_record(_kept(dataset).about)["summary"])
    except RunError:
        return None


def pool_here(dataset: Dataset, input_px: int) -> tuple[Pool, dict[str, Any]]:
    """The pool, kept or read now, and its summary. Raises DataError as reading does."""
    return _read_kept(_keep(dataset, input_px))


def kept_here(dataset: Dataset, input_px: int) -> Kept:
    """All that is kept, or read now. Raises DataError as reading does."""
    place = _keep(dataset, input_px)
    pool, summary = _read_kept(place)
    findings = Findings(**read_record(place.about)["findings"])
    return Kept(pool, summary, read_near_duplicates(place.alike), findings)


def _read_kept(place: _Files) -> tuple[Pool, dict[str, Any]]:
    known = read_record(place.about)
    return read_pool(place.table, known["classes"]), known["summary"]


def _keep(dataset: Dataset, input_px: int) -> _Files:
    """The files, written now unless they are kept.

    Named once, before the pictures are read: one that is added meanwhile makes another name, so
    the next call reads anew.
    """
    place = _kept(dataset)
    if not (place.table.exists() and place.about.exists() and _serves(place, input_px)):
        _read(dataset, input_px, place)
    return place


def _serves(place: _Files, input_px: int) -> bool:
    """Whether the kept files are as they were written, which is said where they are not, and
    whether near-duplicates were looked for in them if they are at this size.
    """
    try:
        known = read_record(place.about)
        hashes = [files.sha256_of_file(table) for table in (place.table, place.alike)]
    except (RunError, FileNotFoundError):
        known, hashes = {}, []
    whole = bool(known) and known["sha256"] == hashes
    if not whole:
        sys.stderr.write(f"The list of images {place.table} is damaged; reading the images anew.\n")
    return whole and known["compared_px"] >= min(input_px, SMALLEST_PX)


def _read(dataset: Dataset, input_px: int, place: _Files) -> None:
    """Read every image and keep what is found."""
    found = read_data_set(dataset, input_px)
    files.write_csv(place.table, found.pool.table())
    files.write_csv(place.alike, found.alike.table)
    hashes = [files.sha256_of_file(table) for table in (place.table, place.alike)]
    about = {
        "classes": found.pool.classes,
        "summary": {
            "images": found.pool.images_by_split(),
            "classes": len(found.pool.classes),
            "sha256": files.sha256_of_json([found.pool.classes, hashes[0]]),
        },
        "findings": asdict(found.findings),
        "compared_px": min(input_px, SMALLEST_PX),
        "sha256": hashes,
    }
    write_record(place.about, about)


def _kept(dataset: Dataset) -> _Files:
    """Where the files lie, named by all that decides them."""
    decides: dict[str, Any] = {
        "name": dataset.name,
        "on_corrupt": dataset.on_corrupt,
        "code": [
            code_id(code_files(module, Params(dataset=dataset), ("dataset",))) for module in READING
        ],
    }
    if dataset.name == "image_folder":
        place = Path(dataset.folder).resolve()
        decides |= {"place": place.as_posix(), "files": _stamps(place), "labels": dataset.labels}
    name = f"{dataset.name}-{files.sha256_of_json(decides)[:20]}"
    folder = work_folder() / "pools"
    return _Files(folder / f"{name}.csv", folder / f"{name}-alike.csv", folder / f"{name}.json")


def _stamps(place: Path) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change in ns of every file."""
    if place.is_file():
        return [_stamp("", place)]
    return sorted(_stamp(name, place / name) for name in _names(place))


def _stamp(name: str, path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:  # a link to nothing, which is told when the pictures are listed
        return name, -1, 0
    return name, found.st_size, found.st_mtime_ns


def _names(place: Path) -> Iterator[str]:
    """Every file below a folder, relative to it; none where there is no folder."""
    for step in walk(place):
        for name in step.files:
            yield (step.folder / name).relative_to(place).as_posix()
