"""What results were made with, as they tell it themselves: parameters, code and machine.

`params.yaml` may have been edited since, or be that of an experiment which failed; `dvc.lock`
knows nothing of a stage that was run without DVC; and the fingerprint of another machine comes
before its results. A study's cell tells its own (`runs.cell`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.core import paths
from stages.core.records import read_record
from stages.runs.code import code_files, code_id, code_key, covers
from stages.runs.pipeline import declared_stages

if TYPE_CHECKING:
    from stages.core.params import Params

PARAMS, CODE, MACHINE = "params", "code", "machine"


def made_with(stage: str, params: "Params") -> dict[str, Any]:
    """For a stage's metrics: the sections of the parameters that it depends on, and its code."""
    declared = declared_stages().get(stage)
    keys = declared.keys if declared else None
    code = code_id(code_files(f"stages.{stage}", params, keys))
    return {PARAMS: depended_on(stage, params), CODE: code}


def depended_on(stage: str, params: "Params") -> dict[str, Any]:
    """The sections of the parameters that a stage depends on.

    Without where pictures lie, and of a file of weights its name alone: a path may tell a user's
    name and means nothing elsewhere, and both are known by hashes.
    """
    declared = declared_stages().get(stage)
    keys = declared.keys if declared else None
    sections = params.model_dump(mode="json", exclude={"dataset": {"folder"}})
    if isinstance(params.pretrained, str):
        sections["pretrained"] = Path(params.pretrained).name
    return {name: value for name, value in sections.items() if keys is None or covers(keys, name)}


def made_here() -> dict[str, str]:
    """For the metrics of a stage that depends on the machine: its hardware DNA, where the
    fingerprint was taken.
    """
    return {MACHINE: str(read_record(paths.MACHINE)["id"])} if paths.MACHINE.exists() else {}


def told_params(params: Mapping[str, Any], *results: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `params.yaml`, with the sections that results tell as these tell them."""
    known = dict(params)
    for result in results:
        for name, value in (result.get(PARAMS) or {}).items():
            before = known.get(name)
            if isinstance(value, dict) and isinstance(before, dict):
                known[name] = before | value
            elif not (name == "pretrained" and Path(str(before)).name == value):  # else its path
                known[name] = value
    return known


def told_code(**results: Mapping[str, Any]) -> dict[str, str]:
    """The identity of the code that made results, by stage, where they tell it."""
    return {code_key(name): str(one[CODE]) for name, one in results.items() if one.get(CODE)}
