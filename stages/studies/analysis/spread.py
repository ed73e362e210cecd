"""The spread of one run about the mean of its group, pooled over groups without being led by one.

Two or three seeds say little about their own spread, so it is pooled over all groups of cells
(machine, model, size, recipe). The mean of the variances, as in an analysis of variance, would let
one erratic group stretch every interval; so each group's variance is divided by what the median of
such an estimate is (that of chi-squared over its degrees of freedom), and the pooled variance is
the median of these, weighted by degrees of freedom. A group that spreads wider than that keeps its
own spread. Runs that give one answer to every image agree whatever their seed and are left out of
the pool, but not out of their own group: where one of two seeds fails, that is its spread.
Simulated on equal normal groups, intervals of this width with Student's t hold the truth in 95 to
98 % of cases.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

GROUP = ["machine", "model", "size", "recipe"]
SAME_RUN = ["machine", "model", "size", "seed", "weights_hash"]
ERRATIC = 3.0  # times the pooled spread, from which on a group is named
LEVEL = 0.975
Group = tuple[str, ...]


@dataclass(frozen=True)
class Spread:
    """Standard deviation of one run: `sd` pooled (None without repeats), `own` of each group."""

    sd: float | None
    dof: int
    own: Mapping[Group, float]

    def of(self, group: Group) -> float | None:
        """The larger of the pooled spread and the group's own; None where there is neither."""
        known = [sd for sd in (self.sd, self.own.get(group)) if sd is not None]
        return max(known, default=None)

    @property
    def quantile(self) -> float:
        """Student's t for a 95 % interval; the normal one without repeats."""
        return float(stats.t.ppf(LEVEL, self.dof) if self.dof else stats.norm.ppf(LEVEL))

    @property
    def erratic(self) -> list[Group]:
        """Groups whose own spread is more than three times the pooled one."""
        if not self.sd:
            return []
        return [group for group, sd in self.own.items() if sd > ERRATIC * self.sd]


def pooled(
    cells: pd.DataFrame, values: "pd.Series[float]", constant: Collection[str] = ()
) -> Spread:
    """The spread of `values` (one per row of `cells`) over seeds, within groups.

    A run that repeats another to the bit, of the same seed, says nothing new and is left out; so
    are the cells named in `constant`, which give one answer to every image, from the pool.
    """
    runs = cells[GROUP].assign(value=values)
    if set(SAME_RUN) <= set(cells.columns):
        repeats = cells[SAME_RUN].assign(value=values).duplicated()
        runs = runs[~repeats & values.notna()]
    runs = runs.dropna(subset=["value"])
    every = _within(runs)
    own = {_key(key): float(sd) for key, sd in np.sqrt(every["variance"]).items()}
    pool = _within(runs[~cells["cell"].reindex(runs.index).isin(constant)]) if constant else every
    dof = pool["freedom"].to_numpy(int)
    sd = _middle(pool["variance"].to_numpy(float), dof) if len(pool) else None
    return Spread(sd, int(dof.sum()) or int(every["freedom"].sum()), own)


def _within(runs: pd.DataFrame) -> pd.DataFrame:
    """The variance of each group of at least two runs, and its degrees of freedom."""
    groups = runs.groupby(GROUP, sort=False)["value"]
    table = pd.DataFrame({"variance": groups.var(ddof=1), "freedom": groups.size() - 1})
    return table[table["freedom"] > 0]


def _middle(variances: "np.typing.NDArray[np.float64]", dof: "np.typing.NDArray[np.int_]") -> float:
    if len(variances) == 1:  # nothing to take a median of
        return float(np.sqrt(variances[0]))
    unbiased = variances * dof / stats.chi2.median(dof)
    return float(np.sqrt(np.median(np.repeat(unbiased, dof))))


def _key(key: object) -> Group:
    return tuple(str(part) for part in key) if isinstance(key, tuple) else (str(key),)
