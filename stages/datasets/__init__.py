"""Image collections by name: `SOURCES["cifar10"].open_collection(dataset)`.

A data set is one file in `sources/`: a module with `NAMES`, the data sets it serves, and
`open_collection`, which fetches their files when absent. Everything after that is the same for
all of them: `reading` decodes and digests, `selection` draws the subset, `pixels` loads it.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from stages.datasets import sources


def discover(package: ModuleType) -> dict[str, ModuleType]:
    """Every data set name that a module of the package serves, with that module."""
    found: dict[str, ModuleType] = {}
    for entry in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{entry.name}")
        names: Iterable[str] = module.NAMES
        found |= dict.fromkeys(names, module)
    return found


SOURCES = discover(sources)
