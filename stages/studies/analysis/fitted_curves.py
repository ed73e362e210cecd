"""The learning curves of one machine's view of a study, and whether something speaks for them.

Fitted to the sizes at which a series is surely above one answer to every image, and to those alone.
Curves of trained heads and of whole trainings are pooled and judged apart: what a frozen trunk
knows bounds the one, so it bends. The curve itself is in `scaling`, what is told of it in the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from stages.studies.analysis.intervals import NORMAL
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.scaling import (
    Check,
    Curve,
    Doubt,
    bends,
    fit,
    half_width_of,
    leaning,
    leave_out_largest,
    without_largest,
)
from stages.studies.analysis.spread import GROUP, NETWORK


@dataclass(frozen=True)
class Fitted:
    """The curve of a series, its check, and the cells behind it."""

    curve: Curve
    check: Check | None
    cells: pd.DataFrame
    chance: float
    leaning: bool = False  # one of many predicted too high, or too low

    @property
    def doubted(self) -> bool:
        """Whether nothing speaks for it beyond its sizes: there are two, through which any curve
        fits, or the curve of the smaller ones missed the largest, or told nothing of it, or was one
        of many that all erred one way.
        """
        return self.of_two or self.missed or self.vague or self.leaning

    @property
    def missed(self) -> bool:
        """Whether the curve of the smaller sizes missed the largest."""
        return self.check is not None and not self.check.inside

    @property
    def vague(self) -> bool:
        """Whether it is unchecked: the smaller sizes let even one answer to every image stand."""
        return self.check is None or self.check.low <= self.chance

    @property
    def of_two(self) -> bool:
        """Whether it is through two sizes alone."""
        return self.cells["train_images"].nunique() < 3

    @property
    def frozen(self) -> bool:
        """Whether a head alone was trained."""
        return _is_frozen(self.cells)

    def reaches(self, images: float) -> bool:
        """Whether anything is told of so many images."""
        return images <= self.curve.farthest


def fitted_curves(view: MachineResults) -> dict[str, Fitted]:
    """A curve per series that has learned at its largest size and at another one."""
    series = _learned(view)
    found: dict[str, Fitted] = {}
    for frozen in (True, False):
        alike = {name: cells for name, cells in series.items() if _is_frozen(cells) == frozen}
        found |= _fitted(view, alike)
    return {name: found[name] for name in series if name in found}


def _fitted(view: MachineResults, series: Mapping[str, pd.DataFrame]) -> dict[str, Fitted]:
    """Curves of one kind, whose bends are pooled and whose errors are looked at together."""
    value = view.results.main
    found: dict[str, Fitted] = {}
    bend, bend_of_fewer = (
        half_width_of(bends(runs, value))
        for runs in (series.values(), map(without_largest, series.values()))
    )
    for name, cells in series.items():
        doubt = _doubt(view, cells)
        if (curve := fit(cells, value, replace(doubt, bend=bend))) is not None:
            images = view.results.errors.among(cells, value)
            check = leave_out_largest(cells, value, replace(doubt, bend=bend_of_fewer), images)
            found[name] = Fitted(curve, check, cells, view.chance)
    lean = leaning([one.check for one in found.values() if one.check])
    return {name: replace(one, leaning=lean) for name, one in found.items()}


def _learned(view: MachineResults) -> dict[str, pd.DataFrame]:
    """By series the cells of the sizes at which it has learned, the largest among them."""
    found = {}
    learned = view.main[view.main["learned"]]
    for name, cells in view.cells.groupby("series", sort=False):
        sizes = learned.loc[learned["series"] == name, "train_images"]
        if not sizes.empty and cells["train_images"].max() == sizes.max():
            found[str(name)] = cells[cells["train_images"].isin(sizes)]
    return found


def _is_frozen(cells: pd.DataFrame) -> bool:
    """Whether a series trains a head alone."""
    return str(cells["learns"].iloc[0]) != NETWORK


def _doubt(view: MachineResults, cells: pd.DataFrame) -> Doubt:
    """What one run's seed and the test images leave open at the largest size."""
    last = cells[cells["train_images"] == cells["train_images"].max()]
    covariance = view.results.errors.among(last, view.results.main)
    seeds = view.scores.spread.half_width(tuple(last[GROUP].iloc[0].astype(str)))
    return Doubt(seeds or 0.0, NORMAL * float(covariance.mean()) ** 0.5)
