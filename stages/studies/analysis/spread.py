"""The spread of one run about the mean of its group, pooled over groups without being led by one.

Two or three seeds say little about their own spread, so it is pooled over all groups of cells
(machine, model, size, recipe). The mean of the variances, as in an analysis of variance, would let
one erratic group stretch every interval; so each group's variance is divided by what the median of
such an estimate is (that of chi-squared over its degrees of freedom), and the pooled variance is
the median of these, weighted by degrees of freedom. Two seeds may agree by luck, so it is no less
than what the images alone make that one seed has right and another not: as if each fell to either
side by itself. A group that spreads wider keeps its own spread.
The same seeds on another machine are no new ones, though rounding moves what they reach: the
variances of machines that share some for one model, size and recipe are averaged, and a seed counts
once.
Networks, heads that are trained on a frozen trunk, and heads that are fitted at once (probe, k-nn)
are pooled apart: less is drawn of a head, and of a fitted one nothing but folds, so they agree more
than networks do. Runs that give one answer to every image agree whatever their seed and are
left out of the pool, but not out of their own group: where one of two seeds fails, that is its
spread.
Simulated on equal normal groups, intervals of this width with Student's t hold the truth in 95 to
98 % of cases; of one group among them that spreads three times as wide in 79 to 82 % with two
seeds, 85 to 88 % with three: too few to tell how far.
"""

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

TRAINING = ["model", "size", "recipe"]
GROUP = ["machine", *TRAINING]
SAME_RUN = ["machine", "model", "size", "seed", "weights_hash"]
ERRATIC = 3.0  # times the pooled spread, from which on a group is named
LEVEL = 0.975
NETWORK, HEAD, FITTED = "network", "head", "fitted"
KINDS = (NETWORK, HEAD, FITTED)
"""What is trained: more than the head, the head by steps, or the head at once."""
Group = tuple[str, ...]
Run = tuple[str, str]  # machine and cell


@dataclass(frozen=True)
class Pool:
    """Standard deviation of a run over seeds, None where all were left out, and what it rests on.

    `groups` are those of at least two runs.
    """

    sd: float | None
    dof: int
    groups: frozenset[Group]

    @property
    def half_width(self) -> float | None:
        """Half the 95 % interval of one run over seeds: Student's t times the spread."""
        return None if self.sd is None else float(stats.t.ppf(LEVEL, self.dof)) * self.sd


@dataclass(frozen=True)
class Spread:
    """Of runs of each of KINDS; `own` is each group's, `kinds` that of groups that are no networks.

    A kind without repeats has no pool.
    """

    pools: Mapping[str, Pool]
    own: Mapping[Group, float]
    kinds: Mapping[Group, str] = field(default_factory=dict)

    def kind_of(self, group: Group) -> str:
        """Which of KINDS the runs of a group are."""
        return self.kinds.get(group, NETWORK)

    def pool_of(self, group: Group) -> Pool | None:
        """The pool that a group belongs to; None where no run of its kind was repeated."""
        return self.pools.get(self.kind_of(group))

    def half_width(self, group: Group) -> float | None:
        """Half the 95 % interval of one run over seeds; None where nothing tells it.

        It is Student's t times the larger of the pooled spread and the group's own.
        """
        pool, own = self.pool_of(group), self.own.get(group)
        if pool is None:
            return None
        known = [sd for sd in (pool.sd, own) if sd is not None]
        return float(stats.t.ppf(LEVEL, pool.dof)) * max(known) if known else None

    @property
    def erratic(self) -> list[Group]:
        """Groups whose own spread is more than three times the pooled one."""
        return [
            group
            for group, sd in self.own.items()
            if (pool := self.pool_of(group)) and pool.sd and sd > ERRATIC * pool.sd
        ]


def pooled(
    cells: pd.DataFrame,
    values: "pd.Series[float]",
    constant: Collection[Run] = (),
    by_images: Mapping[Group, float] | None = None,
) -> Spread:
    """The spread of `values` (one per row of `cells`) over seeds, within groups.

    A run that repeats another to the bit, of the same seed, says nothing new and is left out; so
    are the runs of `constant`, which give one answer to every image, from the pool.
    `by_images` is the variance of one run that its group's discordant images make by themselves.
    """
    learns = pd.Series(cells.get("learns", NETWORK), cells.index, dtype=str)
    runs = cells[[*GROUP, "seed"]].assign(value=values, learns=learns)
    if set(SAME_RUN) <= set(cells.columns):
        repeats = cells[SAME_RUN].assign(value=values).duplicated()
        runs = runs[~repeats & values.notna()]
    runs = runs.dropna(subset=["value"])
    own = {_key(key): float(sd) for key, sd in np.sqrt(_within(runs)["variance"]).items()}
    answering = ~among(cells.loc[runs.index], constant)
    pools = {
        str(kind): pool
        for kind, of_kind in runs.groupby("learns")
        if (pool := _pool(of_kind, of_kind[answering[of_kind.index]], by_images or {})) is not None
    }
    keys = cells[GROUP].astype(str).itertuples(index=False, name=None)
    return Spread(pools, own, dict(zip(keys, learns, strict=True)))


def among(cells: pd.DataFrame, runs: Collection[Run]) -> "pd.Series[bool]":
    """Which rows are of these runs."""
    names = zip(cells["machine"], cells["cell"], strict=True)
    return pd.Series([name in runs for name in names], cells.index, dtype=bool)


def _pool(
    runs: pd.DataFrame, answering: pd.DataFrame, by_images: Mapping[Group, float]
) -> Pool | None:
    """The pool of runs of one kind, from those that tell images apart; None without repeats."""
    every, pool = _within(runs), _within(answering)
    if every.empty:
        return None
    machines_as_one = _of_trainings(pool, answering)
    dof = machines_as_one["freedom"].to_numpy(int)
    groups = frozenset(_key(key) for key in (pool if len(pool) else every).index)
    least = [by_images[group] for group in groups if group in by_images]
    sd = None
    if len(pool):
        sd = middle_sd(machines_as_one["variance"].to_numpy(float), dof)
        sd = max(sd, float(np.sqrt(np.mean(least)))) if least else sd
    return Pool(sd, int(dof.sum()) or int(_of_trainings(every, runs)["freedom"].sum()), groups)


def _within(runs: pd.DataFrame) -> pd.DataFrame:
    """The variance of each group of at least two runs, and its degrees of freedom."""
    groups = runs.groupby(GROUP, sort=False)["value"]
    table = pd.DataFrame({"variance": groups.var(ddof=1), "freedom": groups.size() - 1})
    return table[table["freedom"] > 0]


def _of_trainings(groups: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of `_within` with machines that share seeds of a model, size and recipe as one."""
    seeds = runs.groupby(GROUP)["seed"].agg(set)
    rows = []
    for _, of_training in groups.groupby(TRAINING):
        for keys, distinct in _sharing({key: seeds[key] for key in of_training.index}):
            some = of_training.loc[keys]
            variance = np.average(some["variance"], weights=some["freedom"])
            rows.append((variance, min(int(some["freedom"].sum()), len(distinct) - 1)))
    return pd.DataFrame(rows, columns=["variance", "freedom"])


def _sharing(seeds: Mapping[Hashable, set[int]]) -> list[tuple[list[Hashable], set[int]]]:
    """The groups that share seeds, directly or by way of others, and all seeds of each such lot."""
    lots: list[tuple[list[Hashable], set[int]]] = []
    for key, own in seeds.items():
        touching = [lot for lot in lots if lot[1] & own]
        keys = [key for lot in touching for key in lot[0]]
        lots = [lot for lot in lots if not lot[1] & own]
        lots.append(([*keys, key], own.union(*(lot[1] for lot in touching))))
    return lots


def middle_sd(
    variances: "np.typing.NDArray[np.float64]", dof: "np.typing.NDArray[np.int_]"
) -> float:
    """The root of the median of variances, each for what the median of such an estimate is."""
    if len(variances) == 1:  # nothing to take a median of
        return float(np.sqrt(variances[0]))
    unbiased = variances * dof / stats.chi2.median(dof)
    return float(np.sqrt(np.median(np.repeat(unbiased, dof))))


def _key(key: object) -> Group:
    return tuple(str(part) for part in key) if isinstance(key, tuple) else (str(key),)
