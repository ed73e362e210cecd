"""A study's grid as its params.yaml states it: which cells there are, and their parameters.

A form is a folder with a params.yaml: `studies/NAME` the full one, `studies/NAME/small` the small
one. `grids` hold models × sizes × recipes × seeds each; `base` is what all cells share and a recipe
what it changes, both in the keys of the root params.yaml.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stages.core.errors import ParamsError
from stages.core.mistakes import first_mistake
from stages.core.params import Params, parse_params
from stages.core.paths import STUDIES
from stages.core.validation_messages import shown, unknown_name
from stages.core.yaml_text import YamlError, parse_yaml
from stages.studies.spec.study_file import NAME, StudyFile

SMALL = "small"
STAGES = ("fingerprint", "pictures", "page")
"""The stages of a study's pipeline that are none of its grids."""
FROM_GRID = {"model": "models", "seed": "seeds", "subset.train": "sizes"}
"""The keys of parameters that a cell takes from its grid, and the grid's lists of them."""


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    grid: str
    model: str
    size: str
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        """As DVC's matrix names it, and its folder below `cells/`.

        The slash of a model such as `timm/resnet50` stays: its cells lie one folder deeper.
        """
        return f"{self.model}-{self.size}-{self.recipe}-{self.seed}"


@dataclass(frozen=True)
class StudyConfig:
    """A study in one of its forms; `name` is its path below `studies/`."""

    name: str
    folder: Path
    file: StudyFile

    def repro(self, options: str = "", stage: str = "") -> str:
        """The command that runs the form's pipeline, or a stage of it, from the root."""
        words = ["dvc --cd", STUDIES.as_posix(), "repro", options, f"{self.name}/dvc.yaml"]
        return " ".join(filter(None, words)) + (f":{stage}" if stage else "")

    @property
    def any_machine(self) -> bool:
        """Whether a cell counts as done whichever machine made it."""
        return self.file.machines == "any"

    @property
    def study(self) -> str:
        """The study's name without the form's."""
        return self.name.removesuffix(f"/{SMALL}")

    @cached_property
    def cells(self) -> list[Cell]:
        """Every cell of every grid, once, in the order of the file.

        Raises ParamsError where two of them would have one name.
        """
        found: dict[str, Cell] = {}
        for name, grid in self.file.grids.items():
            for model in grid.models:
                for size in map(str, grid.sizes):
                    for recipe in grid.recipes:
                        for seed in grid.seeds:
                            cell = Cell(name, model, size, recipe, seed)
                            other = found.setdefault(cell.name, cell)
                            if replace(other, grid=name) != cell:
                                raise ParamsError(
                                    f"{self.folder / 'params.yaml'}: {model} with size {size} and "
                                    f"recipe {recipe} and {other.model} with size {other.size} and "
                                    f"recipe {other.recipe} would both be called {cell.name}. "
                                    "Rename a recipe or the file of a model."
                                )
        return list(found.values())

    @property
    def cells_folder(self) -> Path:
        """Where all cells lie, each in a folder of its name."""
        return self.folder / "cells"

    @property
    def machines_folder(self) -> Path:
        """Where cells of other machines are kept, in a folder per hardware DNA."""
        return self.folder / "machines"

    def cell_folder(self, cell: Cell) -> Path:
        """Where the cell leaves its files."""
        return self.cells_folder / cell.name

    def find(self, model: str, size: str, recipe: str, seed: int) -> Cell:
        """The cell with these coordinates. Raises ParamsError when the grids have none."""
        name = Cell("", model, size, recipe, seed).name
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise ParamsError(
            f"{self.folder / 'params.yaml'} has no cell {name} in its grids: the values of "
            "--model, --size, --recipe and --seed must stand in one of them."
        )

    def params(self, cell: Cell, place: str | None = None) -> Params:
        """The parameters of a cell, as the root pipeline reads them. Raises ParamsError.

        `place` is where a message says that they are, params.yaml where none is given.
        """
        where = f"{place or self.folder / 'params.yaml'}, cell {cell.name}"
        if cell.recipe not in self.file.recipes:
            raise ParamsError(f"{where}: {unknown_name('recipe', cell.recipe, self.file.recipes)}.")
        own = {"model": cell.model, "seed": cell.seed, "subset": {"train": _amount(cell.size)}}
        merged = _merged(_merged(self.file.base, self.file.recipes[cell.recipe]), own)
        params = parse_params(merged, where)
        if params.train.devices > 1:
            raise ParamsError(
                f"{where}: `train.devices` is {params.train.devices}, but a cell trains in one "
                "process; set it to 1 and run several cells at once instead."
            )
        return params


def check_name(name: str, small: bool = True) -> None:
    """Raise ParamsError unless `name` can be a study's, or with `small` its small form's."""
    form = f"(/{SMALL})?" if small else ""
    if not re.fullmatch(NAME + form, name):
        also = f", with /{SMALL} after it for the small form" if small else ""
        raise ParamsError(
            f"{shown(name)} cannot be the name of a study: it is a folder below {STUDIES}/, of "
            f"letters, digits, - and _ alone{also}, such as my_pets."
        )


def load_study_config(name: str) -> StudyConfig:
    """Read `studies/<name>/params.yaml`. Raises ParamsError when it is missing or malformed."""
    check_name(name)
    folder = STUDIES / name
    path = folder / "params.yaml"
    if not path.is_file():
        known = sorted(found.parent.name for found in STUDIES.glob("*/params.yaml"))
        raise ParamsError(
            f"There is no {path}. Studies here are {', '.join(known) or 'none'}; `/{SMALL}` after "
            f"a name means its small form, and `python -m stages.study new NAME` makes a study."
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}.") from None
    return parse_study_config(text, name, folder)


def parse_study_config(text: str, name: str, folder: Path) -> StudyConfig:
    """A study's params.yaml, which lies in `folder`. Raises ParamsError when it is malformed."""
    path = folder / "params.yaml"
    try:
        file = StudyFile.model_validate(parse_yaml(text))
    except YamlError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}.") from None
    except ValidationError as error:
        raise ParamsError(f"{path}: {first_mistake(error)}") from None
    if taken := [grid for grid in file.grids if grid in STAGES]:
        raise ParamsError(
            f"{path}: `grids.{taken[0]}` cannot be: {taken[0]} is a stage of every study. Give "
            "that grid another name."
        )
    recipes = {f"recipes.{name}": values for name, values in file.recipes.items()}
    for place, values in {"base": file.base, **recipes}.items():
        for key in _overridden(values):
            raise ParamsError(
                f"{path}: `{place}.{key}` does nothing, for every cell takes it from "
                f"`{FROM_GRID[key]}` of its grid. Leave it out."
            )
    return StudyConfig(name, folder, file)


def _overridden(values: Mapping[str, Any]) -> list[str]:
    """The keys that the grids override."""
    subset = values.get("subset")
    own = [*values, *(f"subset.{key}" for key in (subset if isinstance(subset, Mapping) else ()))]
    return [key for key in FROM_GRID if key in own]


def _amount(size: str) -> int | str:
    return int(size) if size.isdigit() else size


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings, the second's values before the first's."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key, {})
        if not isinstance(value, Mapping):
            result[key] = value
        elif isinstance(old, Mapping):
            result[key] = _merged(old, value)  # else what is no section stays, and is refused
    return result
