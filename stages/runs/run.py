"""All that a finished run left behind, as far as it is there.

Works with missing pieces and older formats: what cannot be read is None and is named in
`missing`, so that the answers which need it can say so. Leaves judgement to the other files.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from stages.core import paths
from stages.core.errors import RunError
from stages.core.metrics import all_values
from stages.core.yaml_text import parse_yaml
from stages.runs.code import code_key
from stages.runs.sources import Source
from stages.runs.tables import TABLES, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

JSON_FILES = {
    "hardware": paths.MACHINE,
    "numerics": paths.NUMERICS,
    "subset": paths.SUBSET_METRICS,
    "train": paths.TRAIN_METRICS,
    "evaluate": paths.EVALUATE_METRICS,
    "profile": paths.PROFILE_METRICS,
}
LOCK = Path("dvc.lock")
OLDER = {paths.MACHINE: paths.HARDWARE}
"""Where runs of an earlier layout have what a file holds."""


@dataclass(frozen=True)
class Run:
    """A run. Metrics are {} and tables None where they are missing."""

    name: str
    params: Json = field(default_factory=dict)
    hardware: Json = field(default_factory=dict)
    numerics: Json = field(default_factory=dict)
    subset: Json = field(default_factory=dict)
    train: Json = field(default_factory=dict)
    evaluate: Json = field(default_factory=dict)
    profile: Json = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    """The identity of the code of the train and evaluate stages."""
    indices_sha256: str | None = None
    predictions: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    trace: pd.DataFrame | None = None
    tensors: pd.DataFrame | None = None
    inside: pd.DataFrame | None = None
    missing: tuple[str, ...] = ()

    @property
    def is_perturbed(self) -> bool:
        """Whether the run began with one weight moved by one ULP."""
        return bool(self.params.get("train", {}).get("perturb_one_ulp", False))

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a run was there at all."""
        known = self.params or self.hardware or self.train or self.evaluate
        return not known and self.predictions is None and self.trace is None


def load_run(source: Source) -> Run:
    """Read all files of a run. Raises RunError when there is none of them."""
    record = read_run(source)
    if record.is_empty:
        raise RunError(
            f"{source.name} holds no run: neither {paths.PARAMS} nor any of the metrics and tables "
            "that the pipeline writes. Name the folder that has `params.yaml`, `metrics` and "
            "`plots` in it, or REVISION:FOLDER for a folder of a revision."
        )
    return record


def read_run(source: Source) -> Run:
    """Read the files of a run, as far as they are there."""
    missing: list[str] = []
    values: dict[str, Any] = {}
    for name, path in JSON_FILES.items():
        values[name] = _parsed(source, path, _json, missing)
    values["numerics"] = _numerics(values["numerics"])
    for name, table in TABLES.items():
        values[name] = read_table(source, table, missing)
    lock = _parsed(source, LOCK, parse_yaml, missing)
    return Run(
        name=source.name,
        params=_parsed(source, paths.PARAMS, parse_yaml, missing),
        code=_code(lock),
        indices_sha256=_indices_sha256(source, values["train"]),
        missing=tuple(dict.fromkeys(missing)),  # one file may hold two tables
        **values,
    )


def _parsed(source: Source, path: Path, parse: "Callable[[str], Any]", missing: list[str]) -> Json:
    """A file's keys and values; {}, with a note in `missing`, when there are none to be had."""
    content = source.read(path)
    if content is None and path in OLDER:
        content = source.read(OLDER[path])
    if content is None:
        missing.append(f"{path}")
        return {}
    try:
        value = parse(content.decode())
    except ValueError as error:
        missing.append(f"{path} (unreadable: {str(error).splitlines()[0]})")
        return {}
    if not isinstance(value, dict):
        missing.append(f"{path} (unreadable: it does not hold keys and values)")
        return {}
    return _well_typed(value, path, missing)


def _json(text: str) -> Any:
    value = json.loads(text)
    return all_values(value) if isinstance(value, dict) else value


def _numerics(told: Json) -> Json:
    """The probes' readings as fields; of an earlier layout's texts the hash is taken alone."""
    texts = told.get("bits", {})
    older = {name: {"bits": str(text).partition(",")[0]} for name, text in texts.items()}
    readings = told.get("readings", older)
    varying = told.get("not_repeatable", [])
    names = varying if isinstance(varying, list) else varying.split()
    return told | {
        "readings": {name: fields for name, fields in readings.items() if isinstance(fields, dict)},
        "not_repeatable": [str(name) for name in names if name != "none"],
    }


_NUMBER = (int, float)
_TYPES: dict[Path, dict[str, tuple[type, ...]]] = {
    paths.PARAMS: dict.fromkeys(("train", "dataset"), (dict,)),
    paths.MACHINE: {"environment": (dict,)},
    paths.NUMERICS: {"readings": (dict,), "bits": (dict,), "not_repeatable": (list, str)},
    paths.TRAIN_METRICS: {
        **dict.fromkeys(("steps", "epochs_run"), _NUMBER),
        **dict.fromkeys(("weights_sha256", "initial_weights_hash", "indices_sha256"), (str,)),
    },
    paths.EVALUATE_METRICS: {
        **dict.fromkeys(("test_loss", "test_top1", "test_quadrant_top1", "ece"), _NUMBER),
        "top1_per_class": (dict,),
    },
    LOCK: {"stages": (dict,)},
}
"""Keys whose values are worked with, and as what."""


def _well_typed(value: Json, path: Path, missing: list[str]) -> Json:
    """The value without keys that hold another type than they should; null is as good as absent."""
    types = _TYPES.get(path, {})
    wrong = [key for key in types.keys() & value if not isinstance(value[key], types[key])]
    told = sorted(key for key in wrong if value[key] is not None)
    if told:
        missing.append(f"{path} (damaged: {', '.join(told)})")
    return {key: item for key, item in value.items() if key not in wrong}


def _code(lock: Json) -> dict[str, str]:
    """The identity of code that DVC recorded with the results, by stage."""
    found: dict[str, str] = {}
    for stage in lock.get("stages", {}).values():
        params = stage.get("params") if isinstance(stage, dict) else None
        known = params.get(paths.CODE.as_posix()) if isinstance(params, dict) else None
        if isinstance(known, dict):
            found |= {str(key): str(value) for key, value in known.items()}
    return {key: found[key] for key in map(code_key, ("train", "evaluate")) if key in found}


def _indices_sha256(source: Source, train: Json) -> str | None:
    """Which images were used: as the training recorded it, else from the list itself."""
    if "indices_sha256" in train:
        return str(train["indices_sha256"])
    content = source.read(paths.INDICES)
    return hashlib.sha256(content).hexdigest() if content is not None else None
