"""Tables of traced steps, and metrics/steps.json, which holds those of tensors and of step insides.

DVC brings a file back from its run cache and keeps it in git only where it is a metric or a plot.
Of a metric it shows numbers and words and passes lists over, so this one holds lists alone: it adds
nothing to `dvc metrics diff` and no column to `dvc exp show`.
"""

from math import isnan
from typing import Any

import pandas as pd

from stages.runs.schema import TENSOR_COLUMNS

DIGITS = 8  # of each tensor's hash; plots/trace.csv has one of 32 over all tensors of a step
NO_GRADIENT = "-" * DIGITS


def as_table(rows: list[dict[str, object]], columns: list[str]) -> pd.DataFrame:
    """Rows as a table that has all its columns even when there are no rows.

    A number that is none, as the gradient norm of an overflowing fp16 step, is written as `nan`:
    in a CSV file an empty cell is a value that is missing.
    """
    written = [
        {name: "nan" if isinstance(value, float) and isnan(value) else value
         for name, value in row.items()}
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(written, columns=columns)


def as_record(tensors: pd.DataFrame, inside: pd.DataFrame) -> dict[str, list[str]]:
    """Lists of text: a line per traced step, and the step-inside table as lines of CSV.

    `tensors` has TENSOR_COLUMNS and the same tensors in every step. A line of `steps` is the
    step, the hashes of all gradients and those of all weights, in the order of `tensors`.
    """
    steps = [
        f"{step} {_joined(rows['grad_hash'])} {_joined(rows['weights_hash'])}"
        for step, rows in tensors.groupby("step")
    ]
    return {
        "tensors": list(dict.fromkeys(tensors["tensor"])),
        "steps": steps,
        "inside": inside.to_csv(index=False, lineterminator="\n").splitlines(),
    }


def tensors_of(record: Any) -> pd.DataFrame:
    """The table with TENSOR_COLUMNS again. Raises ValueError for a damaged record."""
    names, rows = _lines(record, "tensors"), []
    for line in _lines(record, "steps"):
        step, grads, weights = line.split(" ")
        if {len(grads), len(weights)} != {DIGITS * len(names)}:
            raise ValueError(f"step {step} is not of {len(names)} tensors")
        for name, grad, weight in zip(names, _cut(grads), _cut(weights), strict=True):
            rows.append((int(step), name, None if grad == NO_GRADIENT else grad, weight))
    return pd.DataFrame(rows, columns=TENSOR_COLUMNS)


def inside_csv(record: Any) -> str:
    """The step-inside table as CSV. Raises ValueError for a damaged record."""
    return "\n".join([*_lines(record, "inside"), ""])


def _lines(record: Any, key: str) -> list[str]:
    lines = record.get(key) if isinstance(record, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError(f"`{key}` is no list of lines")
    return lines


def _joined(hashes: "pd.Series[str]") -> str:
    return "".join(NO_GRADIENT if pd.isna(value) else value[:DIGITS] for value in hashes)


def _cut(line: str) -> list[str]:
    return [line[start : start + DIGITS] for start in range(0, len(line), DIGITS)]
