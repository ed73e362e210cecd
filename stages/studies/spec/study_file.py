"""A study's params.yaml as it must be written: its keys, and what may stand under them.

What follows from them, the cells and their parameters, is `study_config`'s.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt
from pydantic_core import PydanticCustomError

from stages.core.amounts import Amount

NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
MODEL = r"[A-Za-z0-9_][A-Za-z0-9_./:@+-]*"


def _word(value: str) -> str:
    """A grid's or a recipe's name: it becomes part of a DVC stage, of a key and of a folder."""
    if not re.fullmatch(NAME, value):
        raise PydanticCustomError("name", "a name of letters, digits, - and _")
    return value


def _model(value: str) -> str:
    """A model's name: it becomes part of a command and of a folder."""
    if not re.fullmatch(MODEL, value) or ".." in value:
        raise PydanticCustomError("name", "a model's name")
    return value


def _each_once(values: list[Any]) -> list[Any]:
    """A list that names nothing twice, for the cells could only be the same."""
    for value in values:
        if values.count(value) > 1:
            raise PydanticCustomError("twice", "{value} is in it twice", {"value": str(value)})
    return values


Each = (Field(min_length=1), AfterValidator(_each_once))
Word = Annotated[str, AfterValidator(_word)]
Words = Annotated[list[Word], *Each]
Models = Annotated[list[Annotated[str, AfterValidator(_model)]], *Each]


class Grid(BaseModel):
    """One block of cells: all combinations of the four."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: Models
    sizes: Annotated[list[Amount], *Each]
    recipes: Words
    seeds: Annotated[list[StrictInt], *Each]


class StudyFile(BaseModel):
    """All of a study's params.yaml. `stands_for` names what a model or size of the source is here
    represented by, for instance `1000: 5000`; `with` the branches whose cells join the page;
    `machines` whose cells count as done: those of the same DNA, or any machine's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    grids: Annotated[dict[Word, Grid], Field(min_length=1)]
    base: dict[str, Any]
    recipes: dict[Word, dict[str, Any]]
    stands_for: dict[int | str, int | str] = {}
    revisions: Annotated[list[str], Field(alias="with")] = []
    machines: Literal["same", "any"] = "same"
