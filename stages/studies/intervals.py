"""Means over seeds with their intervals, and when two of them can be told apart.

Two or three seeds say little about their own spread, so the spread is pooled over all groups of
cells of one machine, as in an analysis of variance: s² is the mean of the groups' variances
weighted by their degrees of freedom, the interval mean ± t(0.975, pooled degrees) · s / √runs.
With one seed everywhere there is no spread to pool; the interval is then that of the test images
alone (binomial), which says nothing of the training's own variation. Shares are in 0…1.
"""

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

GROUP = ["machine", "model", "size", "recipe"]
LEVEL = 0.975


@dataclass(frozen=True)
class Spread:
    """Standard deviation of one run about its group's mean; `freedom` is 0 without repeats."""

    sd: float
    freedom: int

    def reach(self, *runs: int) -> float:
        """Half the 95 % interval of a mean of `runs` runs; of a difference for two counts."""
        quantile = stats.t.ppf(LEVEL, self.freedom) if self.freedom else stats.norm.ppf(LEVEL)
        return float(quantile) * self.sd * math.sqrt(sum(1 / count for count in runs))


def pooled(cells: pd.DataFrame, value: str) -> Spread:
    """The spread of `value` over seeds, pooled over the groups of `cells` (of one machine)."""
    groups = cells.dropna(subset=[value]).groupby(GROUP)[value]
    freedom = int((groups.size() - 1).sum())
    if freedom:
        squares = float((groups.var(ddof=1).fillna(0) * (groups.size() - 1)).sum())
        return Spread(math.sqrt(squares / freedom), freedom)
    shares, images = cells[value], cells["test_images"]
    variance = float((shares * (1 - shares) / images).mean()) if len(cells) else 0.0
    return Spread(math.sqrt(max(variance, 0.0)), 0)


def summarize(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """A row per machine, model, size and recipe: mean, low, high (95 %), runs, train_images."""
    rows = []
    for machine, own in cells.dropna(subset=[value]).groupby("machine", sort=False):
        spread = pooled(own, value)
        for key, group in own.groupby(GROUP[1:], sort=False):
            mean, reach = float(group[value].mean()), spread.reach(len(group))
            images = int(group["train_images"].iloc[0])
            rows.append((machine, *key, mean, mean - reach, mean + reach, len(group), images))
    columns = [*GROUP, "mean", "low", "high", "runs", "train_images"]
    return pd.DataFrame(rows, columns=columns)


def tied_with_best(summary: pd.DataFrame) -> pd.Series:
    """Which rows' intervals overlap that of the highest mean (the best row's own included)."""
    if summary.empty:
        return pd.Series(dtype=bool)
    best = summary.iloc[int(summary["mean"].argmax())]
    overlaps: pd.Series = summary["high"] >= best["low"]
    return overlaps
