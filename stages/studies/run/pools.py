"""Pools kept below `.work`: a data set is read once, and found again while its pictures stand.

A folder or zip of pictures is known by the names, sizes and times of its files, as DVC knows a
folder; any other data set by its name, for its archive is verified. Shared by all studies. Leaves
fetching and decoding to `stages.datasets` and what git keeps of a pool to `pictures`.
"""

import os
import sys
from pathlib import Path
from typing import Any

from stages.core import files
from stages.core.errors import RunError
from stages.core.params import Params
from stages.core.paths import dvc_root, work_folder
from stages.core.records import read_record, write_record
from stages.core.sections import Dataset
from stages.datasets import open_collection
from stages.datasets.decoding import SUFFIXES
from stages.datasets.pixel_cache import pack_folder, save_pack
from stages.datasets.pool import Pool, pool_of, read_pool
from stages.datasets.reading import fits_in_a_pack, read_collection
from stages.runs.code import code_files, code_id

READING = "stages.datasets.reading"  # what it executes decides the list


def located(dataset: Dataset) -> Dataset:
    """The data set with its folder in the real repository.

    DVC's temporary clones lack pictures, which git does not track.
    """
    return dataset.model_copy(update={"folder": str(dvc_root() / dataset.folder)})


def is_here(dataset: Dataset) -> bool:
    """Whether the pictures lie on this disk, or the pool of a fixed data set is kept."""
    if dataset.name != "image_folder":
        return _kept(dataset)[0].exists()
    place = Path(dataset.folder)
    return place.is_file() or any(Path(name).suffix.lower() in SUFFIXES for name in _names(place))


def is_read(dataset: Dataset) -> bool:
    """Whether the data set as it lies here has been read, so that its pool is kept."""
    return _kept(dataset)[0].exists()


def pool_here(dataset: Dataset, input_px: int) -> tuple[Pool, dict[str, Any]]:
    """The pool, kept or read now, and its summary. Raises DataError as reading does."""
    table, about = _keep(dataset, input_px)
    known = read_record(about)
    return read_pool(table, known["classes"]), known["summary"]


def summary_here(dataset: Dataset, input_px: int) -> dict[str, Any]:
    """Images per split, classes and a hash of all of it: the same on every machine."""
    _, about = _keep(dataset, input_px)
    return dict(read_record(about)["summary"])


def _keep(dataset: Dataset, input_px: int) -> tuple[Path, Path]:
    """The files of the pool, written now unless they are kept; the second says it is complete."""
    table, about = _kept(dataset)
    if table.exists() and about.exists() and _whole(table, about):
        return table, about
    pool = _read(dataset, input_px)
    files.write_csv(table, pool.table())
    images = {split: pool.splits.count(split) for split in sorted(set(pool.splits))}
    digest = files.sha256_of_json([pool.classes, files.sha256_of_file(table)])
    summary = {"images": images, "classes": len(pool.classes), "sha256": digest}
    write_record(about, {"classes": pool.classes, "summary": summary})
    return table, about


def _whole(table: Path, about: Path) -> bool:
    """Whether the kept files are as they were written; said, and made anew, where they are not."""
    try:
        known = read_record(about)
    except RunError:
        known = {}
    digest = files.sha256_of_json([known.get("classes"), files.sha256_of_file(table)])
    whole = bool(known) and known["summary"]["sha256"] == digest
    if not whole:
        sys.stderr.write(f"The list of images {table} is damaged; reading the images anew.\n")
    return whole


def _read(dataset: Dataset, input_px: int) -> Pool:
    collection = open_collection(dataset)
    rows = range(len(collection.names))
    keep = fits_in_a_pack(len(rows), input_px)
    reading = read_collection(collection, rows, input_px, dataset.on_corrupt, keep)
    if keep:
        save_pack(pack_folder(dataset.name), reading.pack)
    return pool_of(collection, reading.rows, reading.pack.digests)


def _kept(dataset: Dataset) -> tuple[Path, Path]:
    """Where the table and what is known of it lie, named by all that decides them."""
    decides: dict[str, Any] = {
        "name": dataset.name,
        "on_corrupt": dataset.on_corrupt,
        "code": code_id(code_files(READING, Params(dataset=dataset), ("dataset",))),
    }
    if dataset.name == "image_folder":
        place = Path(dataset.folder).resolve()
        decides |= {"place": place.as_posix(), "files": _stamps(place), "labels": dataset.labels}
    name = f"{dataset.name}-{files.sha256_of_json(decides)[:20]}"
    folder = work_folder() / "pools"
    return folder / f"{name}.csv", folder / f"{name}.json"


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


def _names(place: Path) -> list[str]:
    """Every file below a folder, relative to it; none where there is no folder."""
    return [
        (Path(folder) / name).relative_to(place).as_posix()
        for folder, _, names in os.walk(place, followlinks=True)
        for name in names
    ]
