"""Does the answer hold on another machine: two machines' rankings of the same backbones.

Compared are the cells that both machines finished, so that seeds and images are the same. Series
that are surely above one answer to every image on neither are left out: a ranking of chance says
nothing. A pair of backbones is *reversed* when each machine is sure of its own order. Nothing
speaks against the answer when no pair is reversed and the first of each machine is among those that
the other cannot tell from its own first; it holds when moreover one is surely first on both, and
more than half of what either ran was run on both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.studies.analysis.intervals import Estimate, Measured
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.spread import GROUP

DRAWS = 4000
SAME_WORK = ["cell", "params_id", "train_images", "indices_sha256"]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Change:
    """One series on both machines: mean accuracies, and second less first on the same runs.

    `by_cell` has the difference of each run, `seeds` is half the 95 % interval of the difference
    that two seeds alone make, None where seeds are not repeated.
    """

    series: str
    first: Estimate
    second: Estimate
    difference: Estimate
    by_cell: dict[str, float]
    seeds: float | None


@dataclass(frozen=True)
class Agreement:
    """Two machines at one size. `tau` is Kendall's over all pairs, None below three series.

    Of `ran` series that both did, `changes` are of those that have learned on one of them; the
    machine that did more ran `of`.
    `swapped` are pairs whose order differs, better on the first machine named first; of the
    `reversed` among them both machines are sure. `leaders` are the first of each machine;
    `surely_first` tells that both machines have one and are sure of it against all others.
    """

    images: int
    ran: int
    of: int
    changes: tuple[Change, ...]
    tau: Estimate | None
    swapped: tuple[Pair, ...]
    reversed: tuple[Pair, ...]
    leaders: Pair | None
    leaders_tied: bool
    surely_first: bool

    @property
    def stands(self) -> bool | None:
        """Whether nothing speaks against one answer; None where none has learned."""
        return None if self.leaders is None else self.leaders_tied and not self.reversed

    @property
    def holds(self) -> bool:
        """Whether the answer does, and not only that nothing speaks against it."""
        return bool(self.stands) and self.surely_first and 2 * self.ran > self.of

    @property
    def beyond_seeds(self) -> tuple[str, ...]:
        """Runs that differ by more than two seeds do; none where seeds are not repeated."""
        return tuple(
            cell
            for change in self.changes
            for cell, apart in change.by_cell.items()
            if change.seeds is not None and abs(apart) > change.seeds
        )

    @property
    def beyond(self) -> tuple[Change, ...]:
        """Changes larger than their interval of seeds and images."""
        return tuple(change for change in self.changes if not change.difference.open)


def agreements(first: MachineResults, second: MachineResults) -> list[Agreement]:
    """An answer per size that both machines ran, ascending; none without a common cell.

    Cells of one name that are of other parameters or pictures are not common. A series that
    repeats another to the bit is no further one to rank.
    """
    common = first.cells[SAME_WORK].merge(second.cells[SAME_WORK])["cell"]
    both = pd.concat([view.cells[view.cells["cell"].isin(common)] for view in (first, second)])
    named = set(both["series"])
    twins = {
        name for view in (first, second) for name, other in view.repeated.items() if other in named
    }
    both = both[~both["series"].isin(twins)].reset_index(drop=True)
    if both.empty:
        return []
    results = first.results
    measured = Measured(both, results.main, results.errors, results.constant, results.finished)
    machines = (first.machine, second.machine)
    chances = (first.chance, second.chance)
    return [
        _agreement(measured, int(images), machines, chances, _most_run(int(images), first, second))
        for images in sorted(both["train_images"].unique())
    ]


def _most_run(images: int, *views: MachineResults) -> int:
    """How many series the machine ran that ran more of them at a size."""
    return max(len(view.at(images)) for view in views)


def _agreement(
    measured: Measured, images: int, machines: Pair, chances: tuple[float, float], of: int
) -> Agreement:
    at = measured.cells[measured.cells["train_images"] == images]
    changes = []
    for name, runs in at.groupby("series", sort=False):
        ours, theirs = (runs[runs["machine"] == machine] for machine in machines)
        means = (measured.mean(ours), measured.mean(theirs))
        if any(_learned(mean, chance) for mean, chance in zip(means, chances, strict=True)):
            apart = measured.difference(theirs, ours)
            values = [measured.values[side.index].set_axis(side["cell"]) for side in (theirs, ours)]
            by_cell = {str(cell): float(value) for cell, value in (values[0] - values[1]).items()}
            pool = measured.spread.pool_of(tuple(ours[GROUP].iloc[0].astype(str)))
            one = pool.half_width if pool else None
            seeds = None if one is None else one * float(np.sqrt(2))
            changes.append(Change(str(name), *means, apart, by_cell, seeds))
    names = [change.series for change in changes]
    swapped = [pair for pair in combinations(names, 2) if _sign(changes, pair) < 0]
    swapped = [pair if _better(changes, pair) else (pair[1], pair[0]) for pair in swapped]
    sure = {machine: _sure_pairs(measured, at, names, machine) for machine in machines}
    reversed_ = [p for p in swapped if p in sure[machines[0]] and p[::-1] in sure[machines[1]]]
    leaders = _leaders(changes)
    tied = leaders is not None and not (
        leaders in sure[machines[0]] or leaders[::-1] in sure[machines[1]]
    )
    return Agreement(
        images=images,
        ran=at["series"].nunique(),
        of=of,
        changes=tuple(changes),
        tau=_tau(measured, at, names, machines),
        swapped=tuple(swapped),
        reversed=tuple(reversed_),
        leaders=leaders,
        leaders_tied=tied,
        surely_first=leaders is not None and _surely_first(leaders, names, sure),
    )


def _leaders(changes: Sequence[Change]) -> Pair | None:
    """The first of each machine; None where nothing can be ranked."""
    if not changes:
        return None
    first = max(changes, key=lambda change: change.first.value)
    second = max(changes, key=lambda change: change.second.value)
    return first.series, second.series


def _surely_first(leaders: Pair, names: Sequence[str], sure: Mapping[str, set[Pair]]) -> bool:
    """Whether one series leads on both machines, and each is sure of it against every other."""
    ahead = {(leaders[0], name) for name in names if name != leaders[0]}
    return leaders[0] == leaders[1] and all(ahead <= pairs for pairs in sure.values())


def _learned(mean: Estimate, chance: float) -> bool:
    return mean.low is not None and mean.low > chance


def _sign(changes: Sequence[Change], pair: Pair) -> float:
    """Negative where the machines put the pair in different orders."""
    a, b = (next(c for c in changes if c.series == name) for name in pair)
    return (a.first.value - b.first.value) * (a.second.value - b.second.value)


def _better(changes: Sequence[Change], pair: Pair) -> bool:
    a, b = (next(c for c in changes if c.series == name) for name in pair)
    return a.first.value > b.first.value


def _sure_pairs(
    measured: Measured, at: pd.DataFrame, names: Sequence[str], machine: str
) -> set[Pair]:
    """The pairs (better, worse) of which one machine is sure, all pairs told apart at once."""
    own = at[at["machine"] == machine]
    runs = {name: own[own["series"] == name] for name in names}
    found: set[Pair] = set()
    for a, b in combinations(names, 2):
        gap = measured.difference(runs[a], runs[b])
        if not gap.open_among(len(names)):
            found.add((a, b) if gap.value > 0 else (b, a))
    return found


def _tau(
    measured: Measured, at: pd.DataFrame, names: Sequence[str], machines: Pair
) -> Estimate | None:
    """Kendall's tau of the two orders (Biometrika 30, 1938), with half its 95 % interval.

    The interval comes from means drawn anew, on each machine by itself, as far as seeds and the
    images that all answer leave them uncertain: two machines that cannot tell the backbones apart
    get a wide one.
    """
    if len(names) < 3:  # of one pair it says no more than who is first
        return None
    values, drawn, rng = [], [], np.random.default_rng(0)
    for machine in machines:
        own = at[at["machine"] == machine]
        runs = [own[own["series"] == name] for name in names]
        values.append(np.array([measured.mean(each).value for each in runs]))
        if (spread := measured.joint(runs)) is not None:
            drawn.append(rng.multivariate_normal(values[-1], spread, DRAWS, method="eigh"))
    tau = float(_kendall(values[0][None], values[1][None])[0])
    if len(drawn) < len(machines):
        return Estimate(tau, None)
    ends = np.quantile(_kendall(*drawn), [0.025, 0.975])
    return Estimate(tau, float(max(tau - ends[0], ends[1] - tau)))


def _kendall(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tau of each row [draws, series]: concordant less discordant pairs, over all pairs."""
    one, other = np.triu_indices(a.shape[1], 1)
    signs = np.sign(a[:, one] - a[:, other]) * np.sign(b[:, one] - b[:, other])
    return np.asarray(signs.mean(axis=1))
