"""What is equal on any machine, whatever rounding does: counts, rates, data, and what a run's own
parameters promise. A difference here needs no limit.
"""

import numpy as np
import pandas as pd

from stages.comparison.analysis.findings import Fault, Kind, Where
from stages.comparison.analysis.first_divergence import other_rate, steps_per_epoch
from stages.core.dotted import flatten
from stages.runs.run import Run

STILL_FOR = 3
"""Steps in a row in which a tensor of one run alone stays as it is, from which that is no chance:
an update may be lost in the rounding of the weights now and then."""
FADING = 0.1
"""Share of the highest rate below which that is no sign: there updates of one run alone may be lost
for longer, as at the end of a cosine."""
SAME = 1e-9
"""Relative difference of two rates that are the same but for their printing."""
CLIPPED = 1e-3
"""Relative excess of a gradient norm over `train.grad_clip` that its float32 sum explains."""


def exact_fault(a: Run, b: Run) -> Fault | None:
    """The first difference in what does not depend on rounding."""
    checks = (_step_count, _data, _settings, _rates, _clipping, _standstill)
    return next((fault for check in checks if (fault := check(a, b))), None)


def _step_count(a: Run, b: Run) -> Fault | None:
    """Steps per epoch; the number of epochs may differ by early stopping."""
    one, other = (steps_per_epoch(run) for run in (a, b))
    if one is None or other is None or one == other:
        return None
    return Fault(Kind.STEP_COUNT, Where("steps"), a=one, b=other)


DATA = {
    "order_hash": "order of the images",
    "labels_hash": "labels",
    "draws_hash": "random draws",
    "images_hash": "augmented images",
}
"""Hashes of integers that enter a step, as `training/data_trace.py` writes them, in the order in
which one follows from the other."""


def _data(a: Run, b: Run) -> Fault | None:
    """The first traced step, or epoch, that was fed with something else."""
    if found := _first_other_data(a.trace, b.trace, "step"):
        before, step, name = found
        return Fault(Kind.DATA, Where("data", name, before + 1, step))
    found = _first_other_data(a.history, b.history, "epoch")
    each = steps_per_epoch(a)
    if found is None or each is None:
        return None
    _, epoch, name = found
    steps = int((epoch - 1) * each) + 1, int(epoch * each)
    return Fault(Kind.DATA, Where("data", name, *steps, epoch=epoch))


def _first_other_data(
    a: pd.DataFrame | None, b: pd.DataFrame | None, key: str
) -> tuple[int, int, str] | None:
    """The last row (by its key) with equal data before the first with other data, that, and what
    is other there.
    """
    if a is None or b is None:
        return None
    shared = [name for name in DATA if name in a and name in b]
    both = a.merge(b, on=key, suffixes=("_a", "_b")).sort_values(key)
    other = pd.DataFrame({name: both[f"{name}_a"] != both[f"{name}_b"] for name in shared})
    rows = np.flatnonzero(other.any(axis=1))
    if len(rows) == 0:
        return None
    first = int(rows[0])
    before = int(both[key].iloc[first - 1]) if first else 0
    return before, int(both[key].iloc[first]), DATA[other.columns[other.iloc[first]][0]]


def same_data(a: Run, b: Run) -> bool:
    """Whether every epoch of both runs is known to have been fed with the same."""
    if a.history is None or b.history is None or len(a.history) != len(b.history):
        return False
    known = all(name in table for name in DATA for table in (a.history, b.history))
    return known and _first_other_data(a.history, b.history, "epoch") is None


def _rates(a: Run, b: Run) -> Fault | None:
    found = other_rate(a, b)
    if found is None:
        return None
    epoch, one, other = found
    return Fault(Kind.RATE, Where("rates", epoch=epoch), a=one, b=other)


def _settings(a: Run, b: Run) -> Fault | None:
    """The first traced step with another learning rate, or another decay of the moving average."""
    if a.trace is None or b.trace is None:
        return None
    both = a.trace.merge(b.trace, on="step", suffixes=("_a", "_b")).sort_values("step")
    for name, part in (("lr", "rates"), ("ema_decay", "average")):
        if f"{name}_a" not in both or f"{name}_b" not in both:
            continue
        one, other = (both[f"{name}_{side}"].astype(float) for side in "ab")  # NaN for none
        far = (one - other).abs() > SAME * one.abs().clip(lower=SAME)
        rows = np.flatnonzero(far | (one.isna() != other.isna()))
        if len(rows):
            row = int(rows[0])
            before = int(both["step"].iloc[row - 1]) if row else 0
            where = Where(part, "", before + 1, int(both["step"].iloc[row]))
            return Fault(Kind.RATE, where, a=float(one.iloc[row]), b=float(other.iloc[row]))
    return None


def _clipping(a: Run, b: Run) -> Fault | None:
    """A traced gradient norm of one run alone beyond what its parameters clip to."""
    first = {run.name: _first_unclipped(run) for run in (a, b)}
    if (first[a.name] is None) == (first[b.name] is None):
        return None
    run = a if first[b.name] is None else b
    step = first[run.name]
    assert step is not None
    assert run.trace is not None
    norm = float(run.trace.set_index("step")["grad_norm"].loc[step])
    where = Where("gradient", "", step, step)
    return Fault(Kind.CLIPPING, where, norm, flatten(run.params)["train.grad_clip"], run=run.name)


def _first_unclipped(run: Run) -> int | None:
    most = flatten(run.params).get("train.grad_clip")
    if run.trace is None or most is None or "grad_norm" not in run.trace:
        return None
    beyond = run.trace["step"][run.trace["grad_norm"] > most * (1 + CLIPPED)]
    return None if beyond.empty else int(beyond.iloc[0])


def _standstill(a: Run, b: Run) -> Fault | None:
    """A tensor that one run alone leaves as it is, traced step after traced step."""
    ours, theirs = _still(a), _still(b)
    if ours is None or theirs is None:
        return None
    shared = ours.index.intersection(theirs.index).difference(_fading(a))
    names = ours.columns.intersection(theirs.columns)
    ours, theirs = ours[names], theirs[names]
    only = ours.loc[shared] != theirs.loc[shared]
    # The last step of each window in which all steps are still in one run and none is in the other.
    lasting = only.rolling(STILL_FOR).sum().eq(STILL_FOR)
    for still, others in ((theirs, ours), (ours, theirs)):
        mine = still.loc[shared] & ~others.loc[shared]
        held = lasting & mine.rolling(STILL_FOR).sum().eq(STILL_FOR)
        rows = held.index[held.any(axis=1)]
        if len(rows):
            step = int(rows[0]) - STILL_FOR + 1
            tensors = tuple(held.columns[held.loc[rows[0]]])
            where = Where("update", "", step, step, tensors=tensors, of=len(held.columns))
            return Fault(Kind.STANDSTILL, where)
    return None


def _fading(run: Run) -> list[int]:
    """The traced steps whose learning rate is less than FADING of the highest."""
    if run.trace is None or "lr" not in run.trace:
        return []
    rates = run.trace["lr"].astype(float)
    return [int(step) for step in run.trace["step"][rates < FADING * rates.max()]]


def _still(run: Run) -> "pd.DataFrame | None":
    """Per consecutive traced step (index) and tensor (column): weights as before, by a gradient."""
    if run.tensors is None:
        return None
    weights = run.tensors.pivot(index="step", columns="tensor", values="weights_hash")
    gradients = run.tensors.pivot(index="step", columns="tensor", values="grad_hash")
    still = weights.eq(weights.shift()) & gradients.notna()
    consecutive = weights.index.to_series().diff().eq(1)
    found: pd.DataFrame = still[consecutive]
    return found
