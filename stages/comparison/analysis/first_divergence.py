"""Where two runs part: the first step whose bits differ, and which part of it.

Reads the trace of steps and, for the tensors, the trace of tensors. A trace has every step up to a
limit and then the last of every epoch; the weights that training hashes in between narrow a gap
down. How far the runs are apart at a place is left to `step_trace`, what it means to `verdict`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.comparison.analysis.findings import Where
from stages.comparison.analysis.growth import weight_growth
from stages.runs.run import Run

SAME_RATE = 1e-9  # of a learning rate that was written as decimals
Part = Literal["forward", "backward", "update"]


@dataclass(frozen=True)
class FirstDivergence:
    """The first step that is known to differ, counted from 1; None when all compared steps agree.

    `compared` counts the steps of both traces, and `after` is the last step before `step` that is
    known to agree, 0 at the start: the runs part at `step` itself only when it is the one before.
    Then `part` is where in that step: the loss differs (forward), the gradients (backward), or
    only the weights after it (update); None when that step was not traced. `tensors` names the
    parameters that differ there, `of` all that were traced. `distance` is the relative difference
    of loss and gradient norm, whichever is larger, where it can first show: at that step, or at
    the next for an update or where gradients overflowed. None when the trace has no such step.
    """

    compared: int
    after: int
    step: int | None
    part: Part | None = None
    epoch: int | None = None
    tensors: tuple[str, ...] = ()
    of: int = 0
    distance: float | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the runs part at `step` itself and not somewhere before it."""
        return self.step == self.after + 1

    @property
    def where(self) -> Where:
        """The place of the difference, or what follows the last step that agrees."""
        if self.step is None:
            return Where("later", first=self.after + 1)
        part = self.part or ""
        return Where(part, "", self.after + 1, self.step, self.epoch, self.tensors, self.of)


def find_first_divergence(a: Run, b: Run) -> FirstDivergence | None:
    """Hold two runs' steps side by side; None when they share neither a trace nor weights."""
    rows = _traced(a, b)
    growth = weight_growth(a, b)
    seen = dict(zip(growth.steps, growth.equal, strict=True)) if growth else {}
    if rows.empty and not seen:
        return None
    traced = dict(zip(rows["step"], ~rows[list(_PARTS)].any(axis=1), strict=True))
    agrees = {step: seen.get(step, True) and traced.get(step, True) for step in {*seen, *traced}}
    step = min((step for step, alike in agrees.items() if not alike), default=None)
    before = [known for known in agrees if step is None or known < step]
    found = FirstDivergence(len(rows), max(before, default=0), step)
    if step is None or not found.is_exact or traced.get(step, True):
        return found
    return _in_step(a, b, rows, found)


_PARTS: tuple[Part, ...] = ("forward", "backward", "update")


def _traced(a: Run, b: Run) -> pd.DataFrame:
    """The steps of both traces, with a column per part: whether its bits differ."""
    if a.trace is None or b.trace is None:
        return pd.DataFrame(columns=["step", *_PARTS])
    both = a.trace.merge(b.trace, on="step", suffixes=("_a", "_b")).sort_values("step")
    columns = zip(_PARTS, ("loss_hex", "grad_hash", "weights_hash"), strict=True)
    return both.assign(**{part: _other_bits(both, name) for part, name in columns})


def _other_bits(both: pd.DataFrame, name: str) -> "pd.Series[bool] | bool":
    """Whether hashes differ; of gradients, older cells of studies have none."""
    return both[f"{name}_a"] != both[f"{name}_b"] if f"{name}_a" in both else False


def gradients_known(a: Run, b: Run) -> bool:
    """Whether both traces have the gradients; without them a step tells little."""
    return all(run.trace is not None and "grad_hash" in run.trace for run in (a, b))


def _in_step(a: Run, b: Run, rows: pd.DataFrame, found: FirstDivergence) -> FirstDivergence:
    """The part and the tensors of a traced step at which the runs part."""
    first = int(np.flatnonzero(rows["step"] == found.step)[0])
    part = next(name for name in _PARTS if rows[name].iloc[first])
    if part == "update" and not gradients_known(a, b):  # or backward
        return found
    step = int(rows["step"].iloc[first])
    tensors, of = _tensors_at(a, b, step, "weights_hash" if part == "update" else "grad_hash")
    return replace(
        found,
        step=step,
        part=part,
        epoch=int(rows["epoch_a"].iloc[first]) if "epoch_a" in rows else None,
        tensors=tensors,
        of=of,
        distance=_distance(_in_a_row(rows, step + (part == "update"))),
    )


def _in_a_row(rows: pd.DataFrame, step: int) -> pd.DataFrame:
    """The traced steps from this one on without a gap, behind which runs have drifted apart."""
    after = rows[rows["step"] >= step]
    return after[after["step"] == step + np.arange(len(after))]


def _tensors_at(a: Run, b: Run, step: int, column: str) -> tuple[tuple[str, ...], int]:
    """Names of the parameters whose hash differs at a step, and how many there are."""
    if a.tensors is None or b.tensors is None:
        return (), 0
    one, other = (table[table["step"] == step] for table in (a.tensors, b.tensors))
    both = one.merge(other, on="tensor", suffixes=("_a", "_b"))
    left, right = both[f"{column}_a"], both[f"{column}_b"]
    unequal = (left != right) & ~(left.isna() & right.isna())
    return tuple(both["tensor"][unequal]), len(both)


def _distance(rows: pd.DataFrame) -> float | None:
    """Relative difference of loss or gradient norm in the first row where all four are finite."""
    names = [name for name in ("loss", "grad_norm") if f"{name}_a" in rows]
    columns = [f"{name}_{side}" for name in names for side in "ab"]
    finite = rows[np.isfinite(rows[columns].to_numpy(dtype=float)).all(axis=1)].head(1)
    gaps = [relative_gap(finite[f"{name}_a"], finite[f"{name}_b"]) for name in names]
    return float(np.max(gaps)) if len(finite) else None


def relative_gap(a: "pd.Series[float]", b: "pd.Series[float]") -> NDArray[np.float64]:
    """|a - b| over the larger magnitude, elementwise; 0 where both are 0."""
    one, other = a.to_numpy(dtype=float), b.to_numpy(dtype=float)
    size = np.maximum(np.abs(one), np.abs(other))
    with np.errstate(invalid="ignore"):  # two norms that overflowed have no distance
        gap: NDArray[np.float64] = np.abs(one - other) / np.where(size > 0, size, 1.0)
    return gap


def steps_per_epoch(run: Run) -> float | None:
    """How many steps an epoch of the run had; None when it does not say."""
    steps, epochs = run.train.get("steps"), run.train.get("epochs_run")
    return steps / epochs if steps and epochs else None


def other_rate(a: Run, b: Run) -> tuple[int, float, float] | None:
    """The first epoch whose learning rates are not the same, and both rates."""
    if a.history is None or b.history is None:
        return None
    both = a.history.merge(b.history, on="epoch", suffixes=("_a", "_b"))
    rows = np.flatnonzero(relative_gap(both["lr_a"], both["lr_b"]) > SAME_RATE)
    if len(rows) == 0:
        return None
    row = both.iloc[rows[0]]
    return int(row["epoch"]), float(row["lr_a"]), float(row["lr_b"])
