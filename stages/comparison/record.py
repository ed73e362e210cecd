"""All that a finished run left behind, as far as it is there.

Works with missing pieces and older formats: what cannot be read is None and is named in
`missing`, so that the answers which need it can say so. Leaves judgement to the other files.
"""

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from stages.comparison.sources import Source
from stages.core import paths

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]

TABLE_COLUMNS = {
    "predictions": (paths.PREDICTIONS, {"name", "label", "predicted"}),
    "history": (paths.HISTORY, {"epoch", "lr", "train_loss"}),
    "trace": (paths.TRACE, {"step", "loss_hex", "grad_norm", "grad_hash", "weights_hash"}),
    "tensors": (paths.TENSOR_TRACE, {"step", "tensor", "grad_hash", "weights_hash"}),
    "inside": (paths.INSIDE, {"step", "position", "kind", "name", "hash", "norm", "sketch"}),
}
JSON_FILES = {
    "hardware": paths.HARDWARE,
    "numerics": paths.NUMERICS,
    "subset": paths.SUBSET_METRICS,
    "train": paths.TRAIN_METRICS,
    "evaluate": paths.EVALUATE_METRICS,
    "profile": paths.PROFILE_METRICS,
}


@dataclass(frozen=True)
class Record:
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
    """Hash of each source path that the train and evaluate stages depend on."""
    indices_sha256: str | None = None
    predictions: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    trace: pd.DataFrame | None = None
    tensors: pd.DataFrame | None = None
    inside: pd.DataFrame | None = None
    missing: tuple[str, ...] = ()

    @property
    def is_twin(self) -> bool:
        """Whether the run began with one weight moved by one ULP."""
        return bool(self.params.get("train", {}).get("twin", False))


def load_record(source: Source) -> Record:
    """Read all files of a run."""
    missing: list[str] = []
    values: dict[str, Any] = {}
    for name, path in JSON_FILES.items():
        values[name] = _parsed(source, path, json.loads, missing) or {}
    for name, (path, columns) in TABLE_COLUMNS.items():
        values[name] = _table(source, path, columns, missing)
    lock = _parsed(source, Path("dvc.lock"), yaml.safe_load, missing) or {}
    return Record(
        name=source.name,
        params=_parsed(source, paths.PARAMS, yaml.safe_load, missing) or {},
        code=_code(lock),
        indices_sha256=_indices_sha256(source, values["train"]),
        missing=tuple(missing),
        **values,
    )


def _parsed(
    source: Source, path: Path, parse: "Callable[[bytes], Any]", missing: list[str]
) -> Json | None:
    content = source.read(path)
    if content is None:
        missing.append(f"{path}")
        return None
    try:
        value = parse(content)
    except (ValueError, yaml.YAMLError) as error:
        missing.append(f"{path} (unreadable: {str(error).splitlines()[0]})")
        return None
    return value if isinstance(value, dict) else None


def _table(
    source: Source, path: Path, columns: set[str], missing: list[str]
) -> pd.DataFrame | None:
    content = source.read(path)
    if content is None:
        missing.append(f"{path}")
        return None
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=_TEXT)
    except ValueError as error:  # includes pandas' own parser and empty-file errors
        missing.append(f"{path} (unreadable: {str(error).splitlines()[0]})")
        return None
    lacking = columns - set(table.columns)
    if lacking:
        missing.append(f"{path} (an older format: without {', '.join(sorted(lacking))})")
        return None
    return table


_TEXT = dict.fromkeys(
    ("name", "loss_hex", "grad_hash", "weights_hash", "hash", "inputs_hash", "tensor", "sketch",
     "kind", "dtype"),
    str,
)  # fmt: skip


def _code(lock: Json) -> dict[str, str]:
    stages = lock.get("stages", {})
    return {
        dependency["path"]: dependency["md5"]
        for stage in ("train", "evaluate")
        for dependency in stages.get(stage, {}).get("deps", [])
        if str(dependency.get("path", "")).startswith("stages") and "md5" in dependency
    }


def _indices_sha256(source: Source, train: Json) -> str | None:
    """Which images were used: as the training recorded it, else from the list itself."""
    if "indices_sha256" in train:
        return str(train["indices_sha256"])
    content = source.read(paths.INDICES)
    return hashlib.sha256(content).hexdigest() if content is not None else None
