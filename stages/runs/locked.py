"""What DVC locked with a run's results: the parameters that it was made with, and the code.

`params.yaml` may have been edited since, or be that of an experiment which failed. A study's cell
tells its own (`runs.cell`).
"""

import hashlib
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.runs.code import code_key
from stages.runs.sources import Source

RESULTS = {"subset": paths.SUBSET_METRICS, "train": paths.TRAIN_METRICS}
"""Stages whose parameters make a run, and the file that tells whether the lock is of these."""


def locked_params(source: Source, params: dict[str, Any], lock: dict[str, Any]) -> dict[str, Any]:
    """The content of `params.yaml`, with the sections as they were locked for these results.

    Unchanged where nothing was locked, or other results were: then a stage was run without DVC.
    """
    for name, path in RESULTS.items():
        if is_locked(source, lock, name, path):
            locked = _mapping(_mapping(_stage(lock, name).get("params")).get(paths.PARAMS.name))
            params = params | {key: value for key, value in locked.items() if "." not in key}
    return params


def is_locked(
    source: Source, lock: dict[str, Any], name: str = "train", path: Path = paths.TRAIN_METRICS
) -> bool:
    """Whether the stage was locked with the content that its file has."""
    content, outs = source.read(path), _stage(lock, name).get("outs")
    listed = [_mapping(out) for out in outs] if isinstance(outs, list) else []
    hashes = [out.get("md5") for out in listed if out.get("path") == path.as_posix()]
    return content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() in hashes


def locked_code(lock: dict[str, Any]) -> dict[str, str]:
    """The identity of the code that made the results, by stage."""
    found: dict[str, str] = {}
    for name in _mapping(lock.get("stages")):
        known = _mapping(_mapping(_stage(lock, name).get("params")).get(paths.CODE.as_posix()))
        found |= {str(key): str(value) for key, value in known.items()}
    return {key: found[key] for key in map(code_key, ("train", "evaluate")) if key in found}


def _stage(lock: dict[str, Any], name: str) -> dict[str, Any]:
    return _mapping(_mapping(lock.get("stages")).get(name))


def _mapping(value: Any) -> dict[str, Any]:
    """The value where it is one; a lock file may be damaged in any way."""
    return value if isinstance(value, dict) else {}
