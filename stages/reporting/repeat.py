"""The parameters that a run was made with, and the commands that make it again."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.core.dotted import flatten
from stages.core.errors import ParamsError
from stages.core.git import git_or_none
from stages.core.params import Params, parse_params, read_params
from stages.core.paths import shown_path
from stages.core.yaml_text import is_text
from stages.runs.made_with import told_params
from stages.runs.run import Run

# What decides a run besides params.yaml; results in git do not make a tree unclean.
SOURCES = ("stages", "dvc.yaml", "pyproject.toml", "requirements.lock")


@dataclass(frozen=True)
class Origin:
    """The commit that the run's code is, None outside git; `clean` when nothing was changed on it.

    `params` are those of the commit, None when they cannot be read.
    """

    revision: str | None
    clean: bool
    params: Params | None


def made_params(params: Params, run: Run) -> Params:
    """What the results tell of their parameters, in place of `params`, edited since perhaps.

    `params` as they are where another version of the schema made the results.
    """
    results = (run.profile, run.evaluate, run.subset, run.train)
    try:
        return parse_params(told_params(params.model_dump(mode="json"), *results), run.name)
    except ParamsError:
        return params


def flat(params: Params) -> dict[str, Any]:
    """All parameters by dotted key, such as `train.lr`, without where things lie on a disk."""
    values = flatten(params.model_dump())
    for key in ("dataset.folder", "pretrained"):
        if isinstance(values[key], str):
            values[key] = shown_path(values[key])
    return values


def changes(params: Params, base: Params) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose value differs: key to (value in `params`, value in `base`)."""
    before = flat(base)
    return {
        key: (value, before[key]) for key, value in flat(params).items() if value != before[key]
    }


def experiment(overrides: Mapping[str, Any]) -> str:
    """The `dvc exp run` command that sets these dotted keys; `dvc repro` when there are none."""
    if not overrides:
        return "dvc repro"
    settings = [f"-S {shlex.quote(f'{key}={_yaml(value)}')}" for key, value in overrides.items()]
    return " ".join(["dvc exp run", *settings])


def commands(params: Params, origin: Origin) -> list[str]:
    """Shell lines that repeat the run from a clone of the repository."""
    base = origin.params or Params()
    repeat = experiment({key: value for key, (value, _) in changes(params, base).items()})
    return [f"git checkout {origin.revision}", repeat] if origin.revision else [repeat]


def origin_of(root: Path = Path()) -> Origin:
    """Ask git about the working tree in `root`."""
    revision = (git_or_none("rev-parse", "--short=12", "HEAD", folder=root) or "").strip()
    if not revision:
        return Origin(None, clean=False, params=None)
    changed = git_or_none("status", "--porcelain", "--", *SOURCES, folder=root)
    text = git_or_none("show", f"HEAD:./{paths.PARAMS.as_posix()}", folder=root)
    return Origin(revision, clean=changed == "", params=_params(text))


def _params(text: str | None) -> Params | None:
    """The parameters of another commit, which may be of another version of the schema."""
    try:
        return read_params(text, "params.yaml of the commit") if text else None
    except ParamsError:
        return None


def _yaml(value: Any) -> str:
    """A value as DVC's -S reads it: lists without spaces, true, false and null in lower case.

    Text that would be read as something else is quoted as in Hydra's grammar, where backslashes
    count before a quote alone.
    """
    if isinstance(value, str):
        if re.fullmatch(r"[\w./:+@%-]+", value) and is_text(value):
            return value
        escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
        return "'" + re.sub(r"(\\+)$", r"\1\1", escaped) + "'"
    return json.dumps(value, separators=(",", ":")).replace('"', "")
