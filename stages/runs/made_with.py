"""What results were made with, as they tell it themselves: parameters, and the identity of code.

`params.yaml` may have been edited since, or be that of an experiment which failed, and `dvc.lock`
knows nothing of a stage that was run without DVC. A study's cell tells its own (`runs.cell`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stages.runs.code import code_files, code_id, code_key, covers
from stages.runs.pipeline import declared_stages

if TYPE_CHECKING:
    from stages.core.params import Params

PARAMS, CODE = "params", "code"


def made_with(stage: str, params: "Params") -> dict[str, Any]:
    """For a stage's metrics: the sections of the parameters that it depends on, and its code."""
    declared = declared_stages().get(stage)
    keys = declared.keys if declared else None
    sections = params.model_dump(mode="json").items()
    return {
        PARAMS: {name: value for name, value in sections if keys is None or covers(keys, name)},
        CODE: code_id(code_files(f"stages.{stage}", params, keys)),
    }


def told_params(params: Mapping[str, Any], *results: Mapping[str, Any]) -> dict[str, Any]:
    """The content of `params.yaml`, with the sections that results tell as these tell them."""
    known = dict(params)
    for result in results:
        known |= result.get(PARAMS) or {}
    return known


def told_code(**results: Mapping[str, Any]) -> dict[str, str]:
    """The identity of the code that made results, by stage, where they tell it."""
    return {code_key(name): str(one[CODE]) for name, one in results.items() if one.get(CODE)}
