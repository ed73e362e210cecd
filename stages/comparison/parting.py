"""Where two runs part: the first step whose bits differ, and which part of it.

Reads the trace of steps and, for the tensors, the trace of tensors. How far the runs are apart at
a place is left to `inside`, what it means to `verdict`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.comparison.record import Record

Part = Literal["forward", "backward", "update"]


@dataclass(frozen=True)
class Parting:
    """The first differing step, counted from 1; None when all compared steps agree.

    `part` is where in that step: the loss differs (forward), the gradients (backward), or only
    the weights after it (update). `tensors` names the parameters that differ there, `of` all that
    were traced. `apart` is the relative difference of loss and gradient norm, whichever is larger,
    where it can first show: at that step, or at the next for an update. None when the trace ends
    before.
    """

    compared: int
    step: int | None
    part: Part | None
    epoch: int | None
    tensors: tuple[str, ...]
    of: int
    apart: float | None


def find_parting(a: Record, b: Record) -> Parting | None:
    """Hold two traces side by side; None when a run has none or they share no step."""
    if a.trace is None or b.trace is None:
        return None
    both = a.trace.merge(b.trace, on="step", suffixes=("_a", "_b"))
    if both.empty:
        return None
    unequal = pd.DataFrame(
        {
            "forward": both["loss_hex_a"] != both["loss_hex_b"],
            "backward": both["grad_hash_a"] != both["grad_hash_b"],
            "update": both["weights_hash_a"] != both["weights_hash_b"],
        }
    )
    rows = np.flatnonzero(unequal.any(axis=1))
    if len(rows) == 0:
        return Parting(len(both), None, None, None, (), 0, None)
    first = int(rows[0])
    part: Part = next(name for name in ("forward", "backward", "update") if unequal[name][first])
    step = int(both["step"][first])
    tensors, of = _tensors_at(a, b, step, "weights_hash" if part == "update" else "grad_hash")
    return Parting(
        compared=len(both),
        step=step,
        part=part,
        epoch=int(both["epoch_a"][first]) if "epoch_a" in both else None,
        tensors=tensors,
        of=of,
        apart=_apart(both.iloc[first + (part == "update") :].head(1)),
    )


def _tensors_at(a: Record, b: Record, step: int, column: str) -> tuple[tuple[str, ...], int]:
    """Names of the parameters whose hash differs at a step, and how many there are."""
    if a.tensors is None or b.tensors is None:
        return (), 0
    one, other = (table[table["step"] == step] for table in (a.tensors, b.tensors))
    both = one.merge(other, on="tensor", suffixes=("_a", "_b"))
    left, right = both[f"{column}_a"], both[f"{column}_b"]
    unequal = (left != right) & ~(left.isna() & right.isna())
    return tuple(both["tensor"][unequal]), len(both)


def _apart(row: pd.DataFrame) -> float | None:
    """Relative difference of loss or gradient norm in a table of one row, None if it has none."""
    apart = np.maximum(
        relative_gap(row["loss_a"], row["loss_b"]),
        relative_gap(row["grad_norm_a"], row["grad_norm_b"]),
    )
    return float(apart[0]) if len(apart) else None


def relative_gap(a: "pd.Series[float]", b: "pd.Series[float]") -> NDArray[np.float64]:
    """|a - b| over the larger magnitude, elementwise; 0 where both are 0."""
    one, other = a.to_numpy(dtype=float), b.to_numpy(dtype=float)
    size = np.maximum(np.abs(one), np.abs(other))
    gap: NDArray[np.float64] = np.abs(one - other) / np.where(size > 0, size, 1.0)
    return gap


def steps_per_epoch(run: Record) -> float | None:
    """How many steps an epoch of the run had; None when it does not say."""
    steps, epochs = run.train.get("steps"), run.train.get("epochs_run")
    return steps / epochs if steps and epochs else None


def rates_differ(a: Record, b: Record, tolerance: float = 1e-9) -> str | None:
    """In words, the first epoch whose learning rates are not the same."""
    if a.history is None or b.history is None:
        return None
    both = a.history.merge(b.history, on="epoch", suffixes=("_a", "_b"))
    rows = np.flatnonzero(relative_gap(both["lr_a"], both["lr_b"]) > tolerance)
    if len(rows) == 0:
        return None
    row = both.iloc[rows[0]]
    return f"learning rate {row['lr_a']:g} against {row['lr_b']:g} in epoch {int(row['epoch'])}"
