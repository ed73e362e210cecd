"""A study of a user's own pictures: writes its folder, leaves running to DVC.

The grid is models × sizes × seeds with one recipe that is sound for small data.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stages.core import files
from stages.core.counts import counted
from stages.core.errors import ParamsError
from stages.core.paths import STUDIES
from stages.core.yaml_text import is_text
from stages.models import resolve
from stages.studies.spec.pipeline_file import pipeline
from stages.studies.spec.study_config import (
    StudyConfig,
    StudyFile,
    check_name,
    first_mistake,
    load_study_config,
)

HEADER = """# Models x sizes x seeds on your own pictures. Change a list and run again: what is
# missing runs. `base` and `recipes` hold the keys of the root params.yaml.
"""


def new_study(
    name: str,
    folder: Path,
    grid: Mapping[str, Any],
    epochs: int,
    px: int,
    labels: str | None = None,
) -> str:
    """Write `studies/<name>`, trained from scratch; return what to run next.

    `labels` is a table of labels in the folder. Raises as `write_study` does.
    """
    values = {
        "grids": {"backbones": {**grid, "recipes": ["default"]}},
        "base": {
            "input_size": px,
            "dataset": dataset_of(folder, labels),
            "train": {"epochs": epochs, "warmup_epochs": min(1, epochs // 5),
                      "augment": ["crop", "flip"], "trace_steps": 0, "snapshots": False},
            "profile": {"variants": [], "seconds": 0.5},
        },
        "recipes": {"default": {}},
    }  # fmt: skip
    story = {
        "title": f"Which backbone for {folder.stem}?",
        "question": "Which backbone is best on these pictures, at which cost, and would more "
        "pictures help?",
        "source": "A study of your own pictures has no source to be held against.",
    }
    return write_study(name, values, story)


def dataset_of(folder: Path, labels: str | None) -> dict[str, str]:
    """The section `dataset` of a study of own pictures."""
    table = {"labels": labels} if labels else {}
    return {"name": "image_folder", "folder": folder.as_posix(), **table}


def write_study(name: str, values: Mapping[str, Any], story: Mapping[str, Any]) -> str:
    """Write a study's params.yaml, study.yaml and dvc.yaml; return what to run next.

    Raises ParamsError when the study exists, its name cannot be or a value is mistaken, ModelError
    for an unknown model.
    """
    check_name(name, small=False)
    target = STUDIES / name
    if (target / "params.yaml").exists():
        raise ParamsError(
            f"{target / 'params.yaml'} exists already. Edit its grid and run "
            f"`{load_study_config(name).repro()}`, or choose another name."
        )
    for model in {model for grid in values["grids"].values() for model in grid["models"]}:
        resolve(model)
    try:
        form = StudyConfig(name, target, StudyFile.model_validate(values))
    except ValidationError as error:
        raise ParamsError(f"This grid cannot be: {first_mistake(error)}") from None
    for cell in form.cells:  # all values are read before a file is written
        form.params(cell)
    files.write_text(target / "study.yaml", _yaml(story, block=True))
    files.write_text(target / "dvc.yaml", pipeline(form))
    files.write_text(target / "params.yaml", HEADER + _yaml(values))  # last: now it is a study
    folder = Path(values["base"]["dataset"]["folder"])
    missing = "" if folder.exists() else f" There is no {folder} yet: put the pictures there first."
    return (
        f"Wrote {target} with {counted(len(form.cells), 'cell')}.{missing} Run them, and write "
        f"{target}/report.html, with: {form.repro('-k')}"
    )


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
