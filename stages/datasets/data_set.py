"""All of a data set, read once: its images, the pool of them, what is alike, what was noticed.

The pipeline and the studies read a data set here, and alike. Leaves where it is kept to both.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stages.datasets import open_collection
from stages.datasets.findings import Findings, findings_of
from stages.datasets.near_duplicates import Alike, Thumbnails, near_duplicates
from stages.datasets.pixel_cache import pack_folder, save_pack
from stages.datasets.pool import Collection, Pool, pool_of
from stages.datasets.reading import Reading, fits_in_a_pack, read_collection

if TYPE_CHECKING:
    from stages.core.sections import Dataset


@dataclass(frozen=True)
class DataSet:
    """What reading gave; `pool` has the images that can be read."""

    collection: Collection
    reading: Reading
    pool: Pool
    alike: Alike
    findings: Findings


def read_data_set(dataset: "Dataset", input_px: int) -> DataSet:
    """Fetch and decode every image of `dataset`, and keep the decoded pixels if they are small.

    `input_px` is the size at which decoded pixels are kept, and near-duplicates looked for.
    Raises DataError when images cannot be had or read.
    """
    collection = open_collection(dataset)
    rows = range(len(collection.names))
    keep, thumbnails = fits_in_a_pack(len(rows), input_px), Thumbnails()
    reading = read_collection(collection, rows, input_px, dataset.on_corrupt, keep, thumbnails.add)
    if keep:
        save_pack(pack_folder(dataset.name), reading.pack)
    pool = pool_of(collection, reading.rows, reading.pack.digests)
    alike = near_duplicates(pool, reading.rows, thumbnails)
    return DataSet(collection, reading, pool, alike, findings_of(collection, reading, alike))
