"""The pictures of a study: every data set its cells use, listed once and read by all of them.

The table of a data set is `pools/<data set>.csv` in the form's folder, with the class names beside
it. Leaves fetching and decoding to `stages.datasets`.
"""

import csv
from collections import Counter
from pathlib import Path

from stages.core import files
from stages.core.params import Dataset
from stages.datasets import SOURCES
from stages.datasets.packs import pack_folder, save_pack
from stages.datasets.pool import Pool, pool_of, read_pool
from stages.datasets.reading import fits_in_a_pack, read_collection
from stages.studies.form import Form


def list_pictures(form: Form) -> list[str]:
    """Write the pool of every data set of the form anew; return the data sets' names."""
    wanted: dict[tuple[str, str], tuple[Dataset, int]] = {}
    for cell in form.cells:
        params = form.params(cell)
        key = (params.dataset.name, params.dataset.folder)
        largest = max(params.input_size, wanted[key][1] if key in wanted else 0)
        wanted[key] = (params.dataset, largest)
    for dataset, input_px in wanted.values():
        _write_pool(form.folder, dataset, input_px)
    return [dataset.name for dataset, _ in wanted.values()]


def pool_for(form: Form, dataset: Dataset, input_px: int) -> Pool:
    """The pool that `list_pictures` left, or a new one. Raises DataError as reading does."""
    table, classes = _files(form.folder, dataset)
    if not (table.exists() and classes.exists()):
        _write_pool(form.folder, dataset, input_px)
    return read_pool(table, files.read_json(classes))


def pool_size(form: Form, name: str, folder: str) -> int | None:
    """How many images may train or validate, as listed; None where they are not listed yet.

    Of a pool without an official split a fifth is set aside for testing.
    """
    table, _ = _files(form.folder, Dataset(name=name, folder=folder))
    if not table.exists():
        return None
    with table.open(encoding="utf-8", newline="") as lines:
        splits = Counter(row["split"] for row in csv.DictReader(lines))
    return splits["train"] + splits["any"] * 4 // 5


def _files(folder: Path, dataset: Dataset) -> tuple[Path, Path]:
    name = f"{dataset.name}-{files.sha256_of_json(dataset.folder)[:8]}"
    if dataset.name != "image_folder":
        name = dataset.name
    return folder / "pools" / f"{name}.csv", folder / "pools" / f"{name}.json"


def _write_pool(folder: Path, dataset: Dataset, input_px: int) -> None:
    collection = SOURCES[dataset.name].open_collection(dataset)
    rows = range(len(collection.names))
    keep = fits_in_a_pack(len(rows), input_px)
    reading = read_collection(collection, rows, input_px, dataset.on_corrupt, keep)
    if keep:
        save_pack(pack_folder(dataset.name), reading.pack)
    pool = pool_of(collection, reading.rows, reading.pack.digests)
    table, classes = _files(folder, dataset)
    files.write_csv(table, pool.table())
    files.write_json(classes, pool.classes)
