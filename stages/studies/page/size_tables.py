"""What a study's page says of data size: gain per doubling, images to a target, who leads beyond.

Curves are fitted to runs that are surely above one answer to every image, and to those alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from stages.pages.blocks import Table
from stages.pages.formatting import NONE, percent, rounded
from stages.studies.analysis.intervals import NORMAL
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.scaling import Check, Curve, fit, leave_out_largest
from stages.studies.analysis.spread import GROUP
from stages.studies.page.traced import over, range_text


@dataclass(frozen=True)
class Fitted:
    """The curve of a series, its check, and the cells behind it."""

    curve: Curve
    check: Check | None
    cells: pd.DataFrame

    @property
    def doubted(self) -> bool:
        """Whether nothing speaks for it beyond its sizes: there are two, through which any curve
        fits, or the curve of the smaller ones missed the largest.
        """
        return self.of_two or (self.check is not None and not self.check.inside)

    @property
    def of_two(self) -> bool:
        """Whether it is through two sizes alone."""
        return self.cells["train_images"].nunique() < 3

    def reaches(self, images: float) -> bool:
        """Whether anything is told of so many images."""
        return images <= self.curve.farthest


def fitted_curves(view: MachineResults) -> dict[str, Fitted]:
    """A curve per series that has learned at its largest size and at another one."""
    found = {}
    learned = view.main[view.main["learned"]]
    for name, cells in view.cells.groupby("series", sort=False):
        sizes = learned.loc[learned["series"] == name, "train_images"]
        if sizes.empty or cells["train_images"].max() != sizes.max():
            continue
        cells = cells[cells["train_images"].isin(sizes)]
        errors = _errors(view, cells)
        curve = fit(cells, view.results.main, *errors)
        if curve is not None:
            check = leave_out_largest(cells, view.results.main, *errors)
            found[str(name)] = Fitted(curve, check, cells)
    return found


def _errors(view: MachineResults, cells: pd.DataFrame) -> tuple[float, float]:
    """Half the intervals of one run over seeds, pooled, and of a mean over test images."""
    last = cells[cells["train_images"] == cells["train_images"].max()]
    covariance = view.errors.among(last, view.results.main)
    images = NORMAL * float(covariance.mean()) ** 0.5
    key = tuple(last[GROUP].iloc[0].astype(str))
    pool = view.scores.spread.pool_of(key)
    return ((pool and pool.half_width) or 0.0), images


def sample_table(view: MachineResults, target: float | None) -> Table | None:
    """Points per doubling of the data, the exponent, images until the target, and the check.

    Of a curve that missed the largest size, or of two sizes alone, nothing is told beyond it.
    """
    if len(view.sizes) < 2:
        return None
    aim = target if target is not None else _next_ten(float(view.main["mean"].max()))
    high = view.sizes[-1]
    rows = []
    for name, found in fitted_curves(view).items():
        curve, cells = found.curve, found.cells
        gained = curve.accuracy(curve.largest)[0] - curve.accuracy(curve.largest / 2)[0]
        beyond = curve.accuracy(2 * high)
        ahead = f"{percent(beyond[0], 0)} ({range_text(*beyond[1:], digits=0)})"
        until = images_told(curve, aim, int(cells["train_images"].min()))
        rows.append((
            name,
            over(cells, f"{100 * gained:+.1f}"),
            NONE if found.of_two else over(cells, _exponent(curve)),
            NONE if found.doubted or not found.reaches(2 * high) else over(cells, ahead),
            NONE if found.doubted else over(cells, until),
            NONE if found.check is None else over(cells, _checked(found.check, view.chance)),
        ))  # fmt: skip
    head = ("backbone", "points at the last doubling", "exponent b", f"at {2 * high:,} images",
            f"images until {percent(aim, 0)}", f"check: {high:,} images from fewer")  # fmt: skip
    return Table(head, tuple(rows), numeric=(1, 2, 3)).without_empty() if rows else None


def winner_beyond(view: MachineResults) -> str | None:
    """Which series the curves expect to lead at twice the largest size, and how surely.

    Where a curve missed the largest size when it was left out, or is through two sizes alone,
    nothing is expected of it, nor where its interval holds one answer to every image.
    """
    images = 2 * view.sizes[-1]
    every = fitted_curves(view)
    if len(every) < 2:
        return None
    sound = {
        name: found for name, found in every.items() if not found.doubted and found.reaches(images)
    }
    expected = {name: found.curve.accuracy(images) for name, found in sound.items()}
    doubts = _doubts({name: found.check for name, found in every.items() if found.doubted}, view)
    if not expected:
        of_two = all(found.of_two for found in every.values())
        why = ": any curve fits two sizes" if of_two else ""
        return f"Nothing can be said beyond the sizes that were run{why}.{doubts}"
    sure = {name: ends for name, ends in expected.items() if ends[1] > view.chance}
    vague = [name for name in expected if name not in sure]
    if not sure:
        return f"Nothing can be said beyond the sizes that were run: {_vague(vague)}.{doubts}"
    best = max(sure, key=lambda name: sure[name][0])
    rivals = [name for name, ends in sure.items() if name != best and ends[2] >= sure[best][1]]
    mean = percent(sure[best][0], 0)
    if rivals:
        told = f"no leader can be told: {best} is expected at {mean}, tied with {', '.join(rivals)}"
    else:
        told = f"{best} is expected to lead with {mean}, ahead of all others"
        told += " that can be told" if len(sure) < len(every) else ""
    unsaid = f"; {_vague(vague)}" if vague else ""
    return f"At {images:,} images, which were not run, {told}{unsaid}.{doubts}"


def _vague(names: Sequence[str]) -> str:
    """That these curves reach down to what one answer to every image scores."""
    whose = "the curve" if len(names) == 1 else "the curves"
    return (
        f"{whose} of {', '.join(names)} {'is' if len(names) == 1 else 'are'} too uncertain to say"
    )


def _exponent(curve: Curve) -> str:
    return f"{curve.exponent:.2f} ± {curve.exponent_half_width:.2f}"


def _doubts(missed: Mapping[str, Check | None], view: MachineResults) -> str:
    """A sentence on the curves that missed the largest size; nothing where none did."""
    told = [f"{name} ({_checked(check, view.chance)})" for name, check in missed.items() if check]
    if not told:
        return ""
    return f" The curve of the smaller sizes missed {', '.join(told)}: it is not used."


def _checked(check: Check, chance: float) -> str:
    """Predicted and measured, and whether the one's interval holds the other and says anything."""
    told = f"{percent(check.predicted, 0)} predicted, {percent(check.measured, 0)} measured"
    interval = range_text(check.low, check.high, digits=0)
    if not check.inside:
        return f"{told}, outside {interval}"
    if check.low <= chance:
        return f"{told}; no check, since {interval} holds even one answer to every image"
    return f"{told}, inside {interval}"


def images_told(curve: Curve, target: float, smallest: int) -> str:
    """Images until the target with the range in which the band reaches it.

    No further than the sizes that were run and ten times the largest.
    """
    if curve.accuracy(smallest)[0] >= target:
        return f"already at {smallest:,}"
    beyond = f"more than {curve.farthest:,.0f}"
    expected, fewest, most = curve.images_for(target)
    if expected is None:
        return f"{beyond}: too far to say"
    low = f"under {smallest:,}" if fewest is None or fewest < smallest else rounded(fewest)
    high = beyond if most is None else rounded(most)
    return f"{rounded(expected)} ({low} to {high})"


def _next_ten(share: float) -> float:
    return min(0.95, (int(10 * share) + 1) / 10)
