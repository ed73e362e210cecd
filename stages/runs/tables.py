"""The tables of a run, read and checked: a table is whole and of today's format, or None.

All of them are in git, so a clone without DVC's cache has them. Why one is passed over is noted,
so that the answers which need it can say so. Leaves metrics, parameters and the record as a whole
to `record`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stages.core import paths
from stages.core.files import parse_csv
from stages.runs.sources import Source
from stages.training.recorded import inside_csv, tensors_of

TEXT = (
    "loss_hex", "grad_hash", "weights_hash", "hash", "inputs_hash", "tensor", "sketch", "kind",
    "dtype",
)  # fmt: skip
NAMES = ("name", "label", "predicted")
"""Names of images, classes and modules; a class may be called NA or 1."""
MAY_BE_EMPTY = ("inputs_hash", "grad_hash", "rounding", "grad_norm", "norm")
"""Norms are NaN where gradients overflow, as in the first steps at fp16."""


def _csv(content: bytes) -> pd.DataFrame:
    if not content.endswith(b"\n"):
        raise ValueError("cut off in its last line")
    return parse_csv(content.decode(), TEXT, NAMES)


@dataclass(frozen=True)
class Table:
    """A table's file, the columns that answers need, and those that tell its rows apart.

    `read` makes it of the file's content, and raises ValueError for what is damaged; `part` is
    its name in a file that holds several.
    """

    path: Path
    columns: frozenset[str]
    keys: tuple[str, ...]
    read: Callable[[bytes], pd.DataFrame] = _csv
    part: str = ""


TABLES = {
    "predictions": Table(
        paths.PREDICTIONS, frozenset({"name", "label", "predicted", "confidence"}), ("name",)
    ),
    "history": Table(paths.HISTORY, frozenset({"epoch", "lr", "train_loss"}), ("epoch",)),
    "trace": Table(
        paths.TRACE,
        frozenset({"step", "loss_hex", "loss", "grad_norm", "grad_hash", "weights_hash"}),
        ("step",),
    ),
    "tensors": Table(
        paths.STEPS,
        frozenset({"step", "tensor", "grad_hash", "weights_hash"}),
        ("step", "tensor"),
        lambda content: tensors_of(json.loads(content)),
        "steps: ",
    ),
    "inside": Table(
        paths.STEPS,
        frozenset({"step", "position", "kind", "name", "inputs_hash", "hash", "dtype", "norm",
                   "sketch", "rounding"}),
        ("step", "kind", "position"),
        lambda content: parse_csv(inside_csv(json.loads(content)), TEXT, NAMES),
        "inside: ",
    ),
}  # fmt: skip


def read_table(source: Source, table: Table, missing: list[str]) -> pd.DataFrame | None:
    """A table of the run; None, with a note in `missing`, when it is absent or not to be used."""
    content = source.read(table.path)
    if content is None:
        missing.append(f"{table.path}")
        return None
    try:
        rows = table.read(content)
    except ValueError as error:  # includes JSON's, pandas' own parser and empty-file errors
        missing.append(f"{table.path} (unreadable: {str(error).splitlines()[0]})")
        return None
    if fault := _fault(rows, table):
        missing.append(f"{table.path} ({table.part}{fault})")
        return None
    return rows


def _fault(rows: pd.DataFrame, table: Table) -> str | None:
    """Why a table cannot be used; None when it can."""
    if lacking := table.columns - set(rows.columns):
        return f"an older format: without {', '.join(sorted(lacking))}"
    if rows.empty:
        return "no rows"
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
    """Sketches are sixteen numbers, as `stages/training/step_trace.py` writes them."""
    try:
        count = len(np.array(" ".join(sketches).split(), dtype=np.float64))
    except ValueError:
        return "damaged: a sketch holds more than numbers"
    sizes = sketches.str.count(" ") + 1
    return None if count == 16 * len(sizes) and (sizes == 16).all() else "sketches of another size"
