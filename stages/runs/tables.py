"""The tables of a run, read and checked: a table is whole and of today's format, or None.

What is the matter with one that is passed over is noted.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from stages.core import paths
from stages.core.errors import RunError
from stages.core.files import parse_csv
from stages.core.records import copy_in_cache
from stages.runs import schema
from stages.runs.sources import Source
from stages.runs.steps import inside_csv, tensors_of

TEXT = (
    "loss_hex", "grad_hash", "weights_hash", "hash", "inputs_hash", "tensor", "sketch", "kind",
    "dtype", "variant", "mode", "note", "block", *schema.DATA_COLUMNS, "val_images_hash",
)  # fmt: skip
NAMES = ("name", "label", "predicted", "class")
"""Names of images, classes and modules; a class may be called NA or 1."""
MAY_BE_EMPTY = ("inputs_hash", "grad_hash", "rounding", "error", "grad_norm", "norm")
"""Norms are NaN where gradients overflow, as in the first steps at fp16."""


NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Lack:
    """What a run lacks: mostly a file. With a reason, it is there but not used."""

    what: Path | str
    reason: str = ""
    damaged: bool = False

    def __str__(self) -> str:
        return f"{self.what} ({self.reason})" if self.reason else f"{self.what}"


def require_whole(source: Source, lacks: Sequence[Lack], mend: str | None = None) -> None:
    """Raise RunError, naming them, when files are there but cannot be used.

    `mend` says what to do about those of a study's cell, which are no stage's of the pipeline.
    """
    if bad := {str(lack): lack.what for lack in lacks if lack.damaged}:
        found = [copy_in_cache(path) for path in bad.values() if isinstance(path, Path)]
        copies = ", ".join(str(copy) for copy in found if copy)
        also = f" and what DVC's cache has of them, {copies}," if copies else ""
        mend = mend or f"Delete them{also} and run `dvc repro`."
        raise RunError(f"Files of {source.name} cannot be used: {'; '.join(bad)}. {mend}")


def as_recorded(content: bytes, path: Path, recorded: Mapping[str, str]) -> bool:
    """Whether a file is the one whose hash its stage recorded, if it recorded one."""
    expected = recorded.get(path.as_posix())
    return expected in (None, hashlib.sha256(content).hexdigest())


def _csv(content: bytes) -> pd.DataFrame:
    if not content.endswith(b"\n"):
        raise ValueError("cut off in its last line")
    return parse_csv(content.decode(), TEXT, NAMES)


@dataclass(frozen=True)
class Table:
    """A table's file, the columns that are needed of it, and those that tell its rows apart.

    `read` makes it of the file's content, and raises ValueError for what is damaged; `part` is
    its name in a file that holds several.
    """

    path: Path
    columns: Collection[str]
    keys: tuple[str, ...]
    read: Callable[[bytes], pd.DataFrame] = _csv
    part: str = ""


_HISTORY = ("epoch", "lr", "train_loss")
TABLES = {
    "predictions": Table(paths.PREDICTIONS, schema.PREDICTION_COLUMNS, ("name",)),
    "history": Table(paths.HISTORY, _HISTORY, ("epoch",)),
    "trace": Table(paths.TRACE, {*schema.STEP_COLUMNS} - {"epoch"}, ("step",)),
    "tensors": Table(
        paths.STEPS,
        schema.TENSOR_COLUMNS,
        ("step", "tensor"),
        lambda content: tensors_of(json.loads(content)),
        "steps: ",
    ),
    "inside": Table(
        paths.STEPS,
        {*schema.INSIDE_COLUMNS} - {"error"},  # which older records lack
        ("step", "kind", "position"),
        lambda content: parse_csv(inside_csv(json.loads(content)), TEXT, NAMES),
        "inside: ",
    ),
    "all_predictions": Table(
        paths.ALL_PREDICTIONS, [*schema.PREDICTION_COLUMNS, "loss"], ("name",)
    ),
    "per_class": Table(paths.PER_CLASS, ("class", "images"), ("class",)),
    "reliability": Table(paths.RELIABILITY, ("confidence", "accuracy", "images"), ("confidence",)),
    "profile_table": Table(
        paths.PROFILE_TABLE, ("variant", "mode", "batch_size"), ("variant", "mode", "batch_size")
    ),
    "profile_blocks": Table(paths.PROFILE_BLOCKS, schema.BLOCK_COLUMNS, ("block",)),
}
CELL_TABLES = {
    "predictions": Table(schema.CELL_PREDICTIONS, schema.PREDICTION_COLUMNS, ("name",)),
    "history": Table(schema.CELL_HISTORY, _HISTORY, ("epoch",)),
}
"""Those of a study's cell; its predictions have numbers of classes in place of their names."""


def read_table(
    source: Source, table: Table, lacks: list[Lack], recorded: Mapping[str, str] = NOTHING
) -> pd.DataFrame | None:
    """A table of the run; None, with a note in `lacks`, when it is absent or not to be used.

    `recorded` has the SHA-256 of files by path, as far as their stages recorded them.
    """
    content = source.read(table.path)
    if content is None:
        lacks.append(Lack(table.path))
        return None
    if not as_recorded(content, table.path, recorded):
        lacks.append(Lack(table.path, "not the file that was recorded", damaged=True))
        return None
    try:
        rows = table.read(content)
    except ValueError as error:  # includes JSON's, pandas' own parser and empty-file errors
        reason = f"unreadable: {str(error).splitlines()[0]}"
        lacks.append(Lack(table.path, reason, damaged=True))
        return None
    if rows.empty and {*table.columns} <= {*rows.columns}:
        part = table.part.removesuffix(": ")
        found = Lack(f"rows of `{part}` in {table.path}") if part else Lack(table.path, "no rows")
        lacks.append(found)
        return None
    if fault := _fault(rows, table):
        lacks.append(Lack(table.path, f"{table.part}{fault}", damaged=True))
        return None
    return rows


def _fault(rows: pd.DataFrame, table: Table) -> str | None:
    """Why a table cannot be used; None when it can."""
    if lacking := {*table.columns} - {*rows.columns}:
        return f"an older format: without {', '.join(sorted(lacking))}"
    if not isinstance(rows.index, pd.RangeIndex):  # pandas' reading of rows that are too long
        return "damaged: rows are longer than the head"
    for name in sorted(table.columns):
        if name not in MAY_BE_EMPTY and rows[name].isna().any():
            return f"damaged: {name} is empty in row {int(rows[name].isna().argmax()) + 1}"
        if name not in (*TEXT, *NAMES) and not pd.api.types.is_numeric_dtype(rows[name]):
            return f"damaged: {name} holds more than numbers"
    if rows.duplicated(list(table.keys)).any():
        return f"damaged: two rows have the same {', '.join(table.keys)}"
    return _sketch_fault(rows["sketch"]) if "sketch" in table.columns else None


def _sketch_fault(sketches: "pd.Series[str]") -> str | None:
    """Sketches are BUCKETS numbers each, as `stages/training/step_trace.py` writes them."""
    try:
        count = len(np.array(" ".join(sketches).split(), dtype=np.float64))
    except ValueError:
        return "damaged: a sketch holds more than numbers"
    sizes = sketches.str.count(" ") + 1
    whole = count == schema.BUCKETS * len(sizes) and (sizes == schema.BUCKETS).all()
    return None if whole else "sketches of another size"
