"""The identity of code: what a stage or a study's cell executes, as a hash.

Files that are chosen by name (a model's family, a data set's source, a task, augmentations) count
only where the parameters choose them and the stage depends on those parameters. So a comment, a
docstring or a new family changes nothing, and an executed line changes what executes it.
"""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from stages.core.files import sha256_of_json
from stages.runs.pipeline import declared_stages
from stages.runs.tree import SourceTree

if TYPE_CHECKING:
    from stages.core.params import Params

Chosen = tuple[tuple[str, frozenset[str]], ...]
DIGITS = 12
TELLS = "fingerprint"
# Packages of alternatives, without `stages.` in front: named whole, they would count as used here.
FAMILIES = "models.families"
SOURCES = "datasets.sources"
# The file of `training.augmentation` behind each name; the table there needs torch.
AUGMENTATIONS = {
    "crop": "geometric",
    "flip": "geometric",
    "erasing": "geometric",
    "color_jitter": "color",
    "randaugment": "randaugment",
    "mixup": "mixing",
    "cutmix": "mixing",
}


@cache
def code_at_start() -> SourceTree:
    """The files as this process first saw them: what it is executing, whatever is edited since."""
    return SourceTree()


def code_files(
    module: str,
    params: "Params",
    keys: Collection[str] | None = None,
    tree: SourceTree | None = None,
) -> dict[str, str]:
    """Every file that `module` executes with these parameters, with its hash.

    `keys` are the parameters that it depends on, None for all of them; `tree` is the code as it
    was at the start where none is given.
    """
    return _closure(tree or code_at_start(), module, _chosen(params, keys))


def covers(keys: Iterable[str], key: str) -> bool:
    """Whether `key` or a section that it is in stands among `keys`."""
    return any(f"{key}.".startswith(f"{other}.") for other in keys)


def code_id(files: Mapping[str, str]) -> str:
    """The identity of what `code_files` found: 12 hex digits."""
    return sha256_of_json(dict(files))[:DIGITS]


def code_key(stage: str) -> str:
    """The name of a stage's code in the file of all of them and in DVC's tables.

    With a slash, as names of files have, so that `dvc exp show --drop '.*/'` leaves both out.
    """
    return f"stages/{stage}"


def stage_codes(params: "Params") -> dict[str, str]:
    """The identity of code of every stage of the pipeline but the one that tells them."""
    return {
        code_key(name): code_id(code_files(f"stages.{name}", params, declared.keys))
        for name, declared in declared_stages().items()
        if name != TELLS
    }


@cache
def _closure(tree: SourceTree, module: str, chosen: Chosen) -> dict[str, str]:
    """Kept, for most cells of a study choose the same files."""
    return tree.closure(module, dict(chosen))


def _chosen(params: "Params", keys: Collection[str] | None) -> Chosen:
    """Packages of alternatives with the names of the modules that the parameters choose."""
    alternatives: dict[str, tuple[str, Callable[[], set[str]]]] = {
        FAMILIES: ("model", lambda: _serving(FAMILIES, params.model)),
        SOURCES: ("dataset.name", lambda: _serving(SOURCES, params.dataset.name)),
        "tasks": ("task", lambda: {params.task}),
        "training.augmentation": (
            "train.augment",
            lambda: {AUGMENTATIONS[name] for name in params.train.augment},
        ),
    }
    return tuple(
        (f"stages.{package}", frozenset(find() if keys is None or covers(keys, key) else ()))
        for package, (key, find) in alternatives.items()
    )


@cache
def _serving(package: str, name: str) -> set[str]:
    """The module of a package that has `name` in its table; none for a name from elsewhere.

    Loaded by name and not imported, so that stages without a model do not depend on all of them.
    """
    found = importlib.import_module(f"stages.{package}")
    for entry in pkgutil.iter_modules(found.__path__):
        if name in _names(importlib.import_module(f"{found.__name__}.{entry.name}")):
            return {entry.name}
    return set()


def _names(module: ModuleType) -> set[str]:
    """What a family or a source serves."""
    if hasattr(module, "SPECS"):
        return {spec.name for spec in module.SPECS}
    return set(module.NAMES)
