"""Image collections by name.

A data set is one file in `sources/`: a module with `NAMES`, the data sets it serves, and
`open_collection`, which fetches their files when absent. Everything after that is the same for
all of them: `reading` decodes and digests, `selection` draws the subset, `pixels` loads it.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING

from stages.core.errors import DataError
from stages.core.validation_messages import unknown_name
from stages.datasets import sources

if TYPE_CHECKING:
    from stages.core.sections import Dataset
    from stages.datasets.pool import Collection


def discover(package: ModuleType) -> dict[str, ModuleType]:
    """Every data set name that a module of the package serves, with that module."""
    found: dict[str, ModuleType] = {}
    for entry in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{entry.name}")
        names: Iterable[str] = module.NAMES
        found |= dict.fromkeys(names, module)
    return found


SOURCES = discover(sources)


def require_known(name: str) -> None:
    """Raise DataError, with the nearest spelling, when no source serves this data set."""
    if name not in SOURCES:
        raise DataError(unknown_name("dataset.name", name, SOURCES) + ".")


def open_collection(dataset: "Dataset") -> "Collection":
    """The images that `dataset` names, fetched if need be; nothing is decoded yet.

    Raises DataError when the name is unknown or the images cannot be had.
    """
    require_known(dataset.name)
    collection: Collection = SOURCES[dataset.name].open_collection(dataset)
    return collection
