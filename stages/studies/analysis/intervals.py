"""Intervals of means over seeds and of their differences: one rule for every comparison.

An interval of 95 % has two parts, added in quadrature. The seeds: Student's t times the spread of
one run over the root of the number of runs. The test images, where the figure is a share of them:
the normal quantile times the standard error over images, which for a difference is that of the
paired difference image by image. The two overlap (how seeds differ image by image counts in both),
so intervals of differences are too wide rather than too narrow: by half or more where few seeds are
repeated. Times are taken in logarithms: their differences are ratios.

Where many backbones are told apart at once, as in a ranking, intervals widen with their number.
"""

import math
import re
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from stages.studies.analysis.answers import ImageErrors
from stages.studies.analysis.network_costs import log_span
from stages.studies.analysis.spread import GROUP, LEVEL, Group, Run, Spread, among, pooled

NORMAL = float(stats.norm.ppf(LEVEL))


@dataclass(frozen=True)
class Estimate:
    """A mean or difference and half its interval, `half_width`: None where none can be given.

    Of a time both are logarithms. `by_seeds` is the part of it that seeds make, from a spread of
    so many degrees of freedom.
    """

    value: float
    half_width: float | None
    by_seeds: float = 0.0
    dof: float = math.inf

    @property
    def low(self) -> float | None:
        """Lower end."""
        return None if self.half_width is None else self.value - self.half_width

    @property
    def high(self) -> float | None:
        """Upper end."""
        return None if self.half_width is None else self.value + self.half_width

    @property
    def open(self) -> bool:
        """Whether zero lies in the interval, or there is none: a difference that is not sure."""
        return self.half_width is None or abs(self.value) <= self.half_width

    def open_among(self, count: int) -> bool:
        """The same where all pairs of `count` means are told apart: of equal ones 95 % by none.

        Tukey's range of so many means takes the place of that of two, which of the seeds' part is
        Student's.
        """
        if self.half_width is None or count <= 2:
            return self.open
        by_images = math.sqrt(max(0.0, self.half_width**2 - self.by_seeds**2))
        seeds, images = _range(count, self.dof), _range(count, math.inf)
        return abs(self.value) <= math.hypot(seeds * self.by_seeds, images * by_images)


@lru_cache
def _range(count: int, dof: float) -> float:
    """How many times as wide the interval of a difference is among so many means as of two."""
    most = stats.studentized_range.ppf(2 * LEVEL - 1, count, dof)
    return float(most / (math.sqrt(2) * stats.t.ppf(LEVEL, dof)))


def tested(column: str) -> str | None:
    """The share of the test images that a column is, or that its gap is taken from."""
    return re.sub("^gap_", "test_", column) if re.match("(test|gap)_.*top1$", column) else None


def is_time(column: str) -> bool:
    """Whether a column is a duration, compared by ratio."""
    return column.endswith("_seconds") or column.startswith(("latency_ms", "epoch_seconds"))


@dataclass(frozen=True)
class Measured:
    """One column of finished cells that can be compared: of one problem."""

    cells: pd.DataFrame
    column: str
    errors: ImageErrors
    constant: Collection[Run] = ()  # that give one answer to every image
    everywhere: pd.DataFrame | None = None  # the finished cells of all machines

    @cached_property
    def values(self) -> "pd.Series[float]":
        """A figure per cell that has one; of times the logarithm."""
        found = self.cells[self.column].dropna().astype(float)
        return pd.Series(np.log(found)) if is_time(self.column) else found

    @cached_property
    def spread(self) -> Spread:
        """Of one run about its group's mean.

        That of accuracies is pooled over all machines: how far seeds differ is a matter of recipe
        and pictures, and a first repeat here must not count for more than all elsewhere. Times are
        each machine's own.
        """
        if is_time(self.column):
            return pooled(self.cells.loc[self.values.index], self.values)
        own = self._pooled(self.cells.loc[self.values.index])
        if self.everywhere is None:
            return own
        every = self._pooled(self.everywhere.dropna(subset=[self.column]))
        return replace(own, pools=every.pools)

    def _pooled(self, cells: pd.DataFrame) -> Spread:
        """Of cells that have the figure; of a share no less than their answers to images make."""
        share = tested(self.column)
        by_images = {}
        for key, runs in cells.groupby(GROUP, sort=False) if share else ():
            answering = runs[~among(runs, self.constant)]
            variance = self.errors.by_discordance(answering, str(share))
            if variance is not None:
                by_images[tuple(str(part) for part in _tuple(key))] = variance
        return pooled(cells, cells[self.column].astype(float), self.constant, by_images)

    def seeds_told(self, *picked: pd.DataFrame) -> bool:
        """Whether it is known of all these runs how far another seed would move them."""
        return all(
            self.spread.half_width(key) is not None for runs in picked for key in _keys(runs)
        )

    @cached_property
    def groups(self) -> dict[Group, pd.DataFrame]:
        """The cells of each machine, model, size and recipe, in the order of the grids."""
        known = self.cells.loc[self.values.index]
        found = known.groupby(GROUP, sort=False)
        return {tuple(str(part) for part in _tuple(key)): runs for key, runs in found}

    def mean(self, runs: pd.DataFrame) -> Estimate:
        """The mean of some runs."""
        return self._contrast(pd.Series(1 / len(runs), index=runs.index))

    def difference(self, a: pd.DataFrame, b: pd.DataFrame, factor: float = 1.0) -> Estimate:
        """The mean of `a` less `factor` times that of `b`."""
        first = pd.Series(1 / len(a), index=a.index)
        return self._contrast(first.sub(pd.Series(factor / len(b), index=b.index), fill_value=0.0))

    def joint(self, groups: Sequence[pd.DataFrame]) -> NDArray[np.float64] | None:
        """The covariance of the means of some groups; None where no interval can be given."""
        means = [self.mean(runs) for runs in groups]
        if any(mean.half_width is None for mean in means):
            return None
        runs = pd.concat(groups)
        weight = np.zeros((len(groups), len(runs)))
        for row, own in enumerate(groups):
            weight[row, runs.index.isin(own.index)] = 1 / len(own)
        share = tested(self.column)
        images = self.errors.among(runs, share) if share is not None and share in runs else None
        shared = np.zeros((len(runs),) * 2) if images is None else images
        widths = np.array([self.spread.half_width(key) or 0.0 for key in _keys(runs)])
        return np.asarray(weight @ (shared + np.diag((widths / NORMAL) ** 2)) @ weight.T)

    def _contrast(self, weights: "pd.Series[float]") -> Estimate:
        """The weighted sum of runs, each with its own spread, on test images that they share."""
        runs, weight = self.cells.loc[weights.index], weights.to_numpy(float)
        value = float(weight @ self.values[weights.index].to_numpy(float))
        parts, dof = [], math.inf
        keys = _keys(runs)
        known = [self.spread.half_width(key) for key in keys]
        if any(width is not None for width in known):
            widths = np.array([width or 0.0 for width in known])
            parts.append(float(np.linalg.norm(weight * widths)))
            dof = min(pool.dof for key in keys if (pool := self.spread.pool_of(key)))
        by_seeds = sum(parts)
        share = tested(self.column)
        if share is not None and share in runs:
            variance = float(weight @ self.errors.among(runs, share) @ weight)
            parts.append(NORMAL * math.sqrt(max(0.0, variance)))
        return Estimate(value, math.hypot(*parts) if parts else None, by_seeds, dof)


def latency_difference(a: pd.DataFrame, b: pd.DataFrame) -> Estimate:
    """How much longer `a` takes than `b`, in logarithms; no interval where no repeats were timed.

    A network is timed a few times in a row, whatever the seeds. Three repeats may all lie on one
    side of the truth, so half their span is too little: Student's t of three normal draws asks
    for 1.3 spans (Lord, Biometrika 34, 1947). The whole spans of both are added.
    """
    latencies = [math.log(float(runs["latency_ms_p50"].astype(float).mean())) for runs in (a, b)]
    spans = [log_span(float(runs["latency_spread"].astype(float).mean()))
             if "latency_spread" in runs else math.nan for runs in (a, b)]  # fmt: skip
    half_width = None if math.isnan(sum(spans)) else sum(spans)
    return Estimate(latencies[0] - latencies[1], half_width)


def summarize(measured: Measured) -> pd.DataFrame:
    """A row per machine, model, size and recipe: mean, low, high (95 %), runs, train_images.

    Of times it is the geometric mean; low and high are missing where no interval can be given.
    """
    rows = []
    for runs in measured.groups.values():
        found = measured.mean(runs)
        ends = [found.value, found.low, found.high]
        if is_time(measured.column):
            ends = [None if end is None else math.exp(end) for end in ends]
        key = tuple(runs[GROUP].iloc[0])
        rows.append((*key, *ends, len(runs), int(runs["train_images"].iloc[0])))
    columns = [*GROUP, "mean", "low", "high", "runs", "train_images"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(("mean", "low", "high"), float))


def tied_with(measured: Measured, rows: pd.DataFrame, place: int) -> "pd.Series[bool]":
    """Which rows of `summarize` cannot be told from the one at `place`, itself among them.

    All pairs of them at once: by chance alone some of many would stand apart.
    """
    keys = [tuple(map(str, key)) for key in rows[GROUP].itertuples(index=False, name=None)]
    chosen = measured.groups[keys[place]] if keys else measured.cells
    told = [
        place == own or measured.difference(measured.groups[key], chosen).open_among(len(keys))
        for own, key in enumerate(keys)
    ]
    return pd.Series(told, index=rows.index, dtype=bool)


def _keys(runs: pd.DataFrame) -> list[Group]:
    """The group of each run."""
    return list(runs[GROUP].astype(str).itertuples(index=False, name=None))


def _tuple(key: Hashable) -> tuple[Hashable, ...]:
    return key if isinstance(key, tuple) else (key,)
