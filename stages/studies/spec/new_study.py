"""A study of a user's own pictures: writes its folder, leaves running to DVC.

The grid is models × sizes × seeds with one recipe that is sound for small data.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stages.core import files
from stages.core.counts import counted
from stages.core.errors import ParamsError
from stages.core.mistakes import first_mistake
from stages.core.paths import STUDIES
from stages.core.yaml_text import is_text
from stages.models import build, resolve
from stages.studies.run.pools import is_here, located
from stages.studies.spec.pipeline_file import pipeline
from stages.studies.spec.room import refuse_unfit, room_for
from stages.studies.spec.study_config import (
    StudyConfig,
    check_name,
    load_study_config,
)
from stages.studies.spec.study_file import StudyFile

SIZES = (500, 1000, "full")
HEADER = """# Models x sizes x seeds on your own pictures. Change a list and run again: what is
# missing runs. `base` and `recipes` hold the keys of the root params.yaml.
"""


def new_study(
    name: str,
    dataset: Mapping[str, str],
    grid: Mapping[str, Any],
    epochs: int,
    px: int,
) -> str:
    """Write `studies/<name>`, trained from scratch; return what to run next.

    `dataset` is that section of the parameters; `grid` holds models, seeds and sizes, None for
    those of SIZES that there are pictures for. Raises as `write_study` does.
    """
    values = {
        "grids": {"backbones": {**grid, "recipes": ["default"]}},
        "base": {
            "input_size": px,
            "dataset": dict(dataset),
            "train": {"epochs": epochs, "warmup_epochs": min(1, epochs // 5),
                      "augment": ["crop", "flip"], "trace_steps": 20, "snapshots": False},
            "profile": {"variants": [], "seconds": 0.5},
        },
        "recipes": {"default": {}},
    }  # fmt: skip
    story = {
        "title": f"Which backbone for {Path(dataset['folder']).stem}?",
        "question": "Which backbone is best on these pictures, at which cost, and would more "
        "pictures help?",
        "source": "A study of your own pictures has no source to be held against.",
    }
    return write_study(name, values, story)


def write_study(name: str, values: Mapping[str, Any], story: Mapping[str, Any]) -> str:
    """Write a study's params.yaml, study.yaml and dvc.yaml; return what to run next.

    Grids whose sizes are None have SIZES, without those that the pictures are too few for. Raises
    ParamsError when the study exists, its name cannot be, a value is mistaken or a size too large,
    ModelError for an unknown model or weights that do not fit it, DataError for pictures that are
    no data set.
    """
    check_name(name, small=False)
    target = STUDIES / name
    for model in {model for grid in values["grids"].values() for model in grid["models"]}:
        resolve(model)
    form, values, left_out = _with_room(name, values)
    _require_weights(form)
    if (target / "params.yaml").exists():
        raise ParamsError(
            f"{target / 'params.yaml'} exists already. Edit its grid and run "
            f"`{load_study_config(name).repro()}`, or choose another name."
        )
    files.write_text(target / "study.yaml", _yaml(story, block=True))
    files.write_text(target / "dvc.yaml", pipeline(form))
    files.write_text(target / "params.yaml", HEADER + _yaml(values))  # last: now it is a study
    dataset, missing = form.params(form.cells[0]).dataset, ""
    if not is_here(located(dataset)):
        missing = (
            f" There are no pictures in {dataset.folder} yet: put them there first, or if that is "
            f"a slip, delete {target} and name another folder."
        )
    return (
        f"Wrote {target} with {counted(len(form.cells), 'cell')}.{left_out}{missing} Run them, and "
        f"write {target}/report.html, with: {form.repro('-k')}"
    )


def _require_weights(form: StudyConfig) -> None:
    """Raise ModelError for a file of weights that is none, or does not fit its model."""
    given = {(params.model, params.pretrained): params for params in map(form.params, form.cells)}
    for (_, weights), params in given.items():
        if isinstance(weights, str):
            build(params, classes=2)  # of any number: the head is new


def _with_room(name: str, values: Mapping[str, Any]) -> tuple[StudyConfig, Mapping[str, Any], str]:
    """The study, its params.yaml, and a sentence on default sizes that it has no pictures for."""
    form = _form(name, _sized(values, SIZES))
    room = room_for(form)
    if any(grid["sizes"] is not None for grid in values["grids"].values()):
        refuse_unfit(room)
    left_out = [*room.unfit, *room.twins]
    values = _sized(values, [size for size in SIZES if str(size) not in left_out])
    told = f" Of the default sizes {' and '.join(left_out)} are left out: {room.told}."
    return _form(name, values), values, told if left_out else ""


def _sized(values: Mapping[str, Any], sizes: Sequence[int | str]) -> dict[str, Any]:
    """The values, with these sizes in place of None."""
    grids = {
        key: grid if grid["sizes"] is not None else {**grid, "sizes": list(sizes)}
        for key, grid in values["grids"].items()
    }
    return {**values, "grids": grids}


def _form(name: str, values: Mapping[str, Any]) -> StudyConfig:
    """The study of these values, all of which are read. Raises ParamsError for a mistaken one."""
    try:
        form = StudyConfig(name, STUDIES / name, StudyFile.model_validate(values))
    except ValidationError as error:
        raise ParamsError(f"This grid cannot be: {first_mistake(error)}") from None
    for cell in form.cells:
        form.params(cell, f"the study {name} that is asked for")
    return form


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2, which DVC and `parse_yaml` read, takes for a number: 1e3, 0o17."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    number = re.fullmatch(r"[-+.\w]+", text) and not is_text(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if number else None)


_Dumper.add_representer(str, _text)


def _yaml(values: Mapping[str, Any], block: bool = False) -> str:
    """Values as YAML; with `block` a key per line throughout, to which a user can append others."""
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
                     default_flow_style=False if block else None)  # fmt: skip
