"""The parameters that a run of the pipeline was made with: those that DVC locked with its results.

`params.yaml` may have been edited since, or be that of an experiment which failed. A study's cell
tells its own (`runs.cell`).
"""

import hashlib
from pathlib import Path
from typing import Any

from stages.core import paths
from stages.runs.sources import Source

RESULTS = {"subset": paths.SUBSET_METRICS, "train": paths.TRAIN_METRICS}
"""Stages whose parameters make a run, and the file that tells whether the lock is of these."""


def recorded_params(source: Source, params: dict[str, Any], lock: dict[str, Any]) -> dict[str, Any]:
    """The content of `params.yaml`, with the sections as they were locked for these results.

    Unchanged where nothing was locked, or other results were: then a stage was run without DVC.
    """
    stages = lock.get("stages")
    for name, path in RESULTS.items():
        stage = stages.get(name) if isinstance(stages, dict) else None
        if isinstance(stage, dict) and _made(stage, source, path):
            locked = (stage.get("params") or {}).get(paths.PARAMS.name) or {}
            params = params | {key: value for key, value in locked.items() if "." not in key}
    return params


def _made(stage: dict[str, Any], source: Source, path: Path) -> bool:
    """Whether the stage was locked with the content that the file has."""
    content = source.read(path)
    outs = stage.get("outs") or ()
    hashes = [out.get("md5") for out in outs if out.get("path") == path.as_posix()]
    return content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() in hashes
