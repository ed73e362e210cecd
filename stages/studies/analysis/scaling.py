"""Learning curves: the test error as a power of the number of training images.

error(n) = a · n^(-b), a straight line in logarithms (Hestness et al., arXiv:1712.00409), fitted
to the mean of each size by least squares: runs repeated at one size say nothing more of how curves
bend. How far sizes lie off such a line is pooled over the curves of a study, as few sizes tell it
badly. The band is the 95 % interval of the line, by Student's t, and no narrower than the seeds of
the whole study and the number of test images allow. A floor below which more images do not help
cannot be told from the few sizes of a study, so nothing is predicted beyond ten times the largest
size. Checked by leaving out the largest size and predicting it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from stages.studies.analysis.intervals import NORMAL
from stages.studies.analysis.spread import middle_sd

FARTHEST = 10  # times the largest size, beyond which nothing is predicted


@dataclass(frozen=True)
class Doubt:
    """Half the 95 % intervals of what else moves the points of a curve.

    `seeds` of one run's share over seeds, `images` of a mean share over draws of test images, and
    `bend` of one size's mean about a power law, in ln(error), as many curves tell it; where `bend`
    is None, the curve's own points do.
    """

    seeds: float = 0.0
    images: float = 0.0
    bend: float | None = None


@dataclass(frozen=True)
class Curve:
    """A fitted line ln(error) = intercept + slope · (ln(n) - centre), and its uncertainty.

    `places` are ln(n) - centre of its sizes, `half_widths` half the 95 % interval of each about the
    line, `common` that of an error that all sizes share, all in ln(error); `largest` is the largest
    size.
    """

    slope: float
    intercept: float
    centre: float
    places: NDArray[np.float64]
    half_widths: NDArray[np.float64]
    common: float
    largest: float

    @property
    def exponent(self) -> float:
        """B of error = a · n^(-b): 0.5 halves the error with four times the images."""
        return -self.slope

    @property
    def exponent_half_width(self) -> float:
        """Half the 95 % interval of the exponent."""
        return float(np.linalg.norm(self.half_widths * self.places)) / self._squares

    @property
    def farthest(self) -> float:
        """Images beyond which nothing is predicted."""
        return FARTHEST * self.largest

    @property
    def _squares(self) -> float:
        return float((self.places**2).sum())

    def accuracy(self, images: float) -> tuple[float, float, float]:
        """Expected accuracy at `images` with its 95 % interval, for the mean of many runs."""
        return self.interval(images, self.common)

    def images_for(self, target: float) -> tuple[float | None, float | None, float | None]:
        """Images until the expected accuracy is `target`, and where the band reaches it.

        (expected, fewest, most), each at least one image; None where it is beyond `farthest`.
        """
        return tuple(self._crossing(target, which) for which in (0, 2, 1))  # type: ignore[return-value]

    def weights(self, images: float) -> NDArray[np.float64]:
        """How much of a change of each size's ln(error) the line shows at `images`."""
        offset = math.log(images) - self.centre
        return 1 / len(self.places) + offset * self.places / self._squares

    def interval(self, images: float, own: float) -> tuple[float, float, float]:
        """The same where the line's interval is joined by that of an error `own`, in ln(error)."""
        offset = math.log(images) - self.centre
        line = self.intercept + self.slope * offset
        moved = float(np.linalg.norm(self.weights(images) * self.half_widths))
        half_width = math.hypot(moved, own)
        middle, worst, best = (
            math.exp(min(0.0, line + by)) for by in (0.0, half_width, -half_width)
        )
        return 1 - middle, 1 - worst, 1 - best

    def _crossing(self, target: float, which: int) -> float | None:
        """Where one of the three curves of `accuracy` first reaches `target`.

        The band widens away from the sizes that were run, so an end of it may lie above the target
        at a single image: that is then where it reaches it.
        """

        def missing(log_images: float) -> float:
            return self.accuracy(math.exp(log_images))[which] - target

        places = np.linspace(0.0, math.log(self.farthest), 400)
        values = [missing(float(place)) for place in places]
        if values[0] >= 0:
            return 1.0
        for left, right, before, after in zip(places, places[1:], values, values[1:], strict=False):
            if before < 0 <= after:
                return math.exp(optimize.brentq(missing, float(left), float(right)))
        return None


@dataclass(frozen=True)
class Check:
    """The largest size, predicted from the smaller ones."""

    images: int
    predicted: float
    low: float
    high: float
    measured: float

    @property
    def inside(self) -> bool:
        """Whether the measured mean lies in the predicted interval."""
        return self.low <= self.measured <= self.high


def fit(runs: pd.DataFrame, value: str, doubt: Doubt = Doubt()) -> Curve | None:
    """Fit the runs of one model; None for fewer than two sizes.

    `runs` has `train_images`, `test_images` and `value`, a share of these. A size without a mistake
    counts as half of one.
    """
    sizes = _means(runs, value)
    if len(sizes) < 2:
        return None
    x, y = np.log(sizes.index.to_numpy(float)), np.log(sizes["error"].to_numpy(float))
    centre = float(x.mean())
    line = stats.linregress(x - centre, y)
    bend = doubt.bend if doubt.bend is not None else half_width_of(bends([runs], value))
    return Curve(
        slope=float(line.slope),
        intercept=float(line.intercept),
        centre=centre,
        places=x - centre,
        half_widths=np.array(
            [_about(error, count, doubt.seeds, bend) for error, count in sizes.to_numpy(float)]
        ),
        common=doubt.images / float(sizes["error"].iloc[-1]),
        largest=float(sizes.index[-1]),
    )


def bends(series: Iterable[pd.DataFrame], value: str) -> list[tuple[float, int]]:
    """How far the sizes of each series lie off its line: variance in ln(error), and its degrees of
    freedom; nothing of series with fewer than three sizes, which any line fits.
    """
    found = []
    for runs in series:
        sizes = _means(runs, value)
        if len(sizes) < 3:
            continue
        x, y = np.log(sizes.index.to_numpy(float)), np.log(sizes["error"].to_numpy(float))
        left = y - np.polynomial.Polynomial.fit(x, y, 1)(x)
        found.append((float((left**2).sum()) / (len(x) - 2), len(x) - 2))
    return found


def half_width_of(found: Sequence[tuple[float, int]]) -> float:
    """Half the 95 % interval of one size about a power law, pooled over `bends`; 0 without any."""
    if not found:
        return 0.0
    variances, dof = np.array([one for one, _ in found]), np.array([count for _, count in found])
    return float(stats.t.ppf(0.975, dof.sum())) * middle_sd(variances, dof)


def without_largest(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of all sizes but the largest."""
    fewer: pd.DataFrame = runs[runs["train_images"] < runs["train_images"].max()]
    return fewer


def leaning(checks: Sequence[Check]) -> bool:
    """Whether so many predictions err one way that it is none of chance: a two-sided sign test."""
    below = sum(check.measured < check.predicted for check in checks)
    return bool(checks) and float(stats.binomtest(below, len(checks)).pvalue) < 0.05


def leave_out_largest(
    runs: pd.DataFrame,
    value: str,
    doubt: Doubt = Doubt(),
    covariance: NDArray[np.float64] | None = None,
) -> Check | None:
    """Fit without the largest size and predict the mean of its runs; None where that cannot be.

    `doubt.bend` is to be of curves without their largest size too. The test images are the same on
    both sides: what they leave open is by `covariance` [runs, runs], of the shares over draws of
    them, and `doubt.images` does not count. None also where there is nothing by which to say how
    far off is too far.
    """
    fewer = without_largest(runs)
    bend = doubt.bend if doubt.bend is not None else half_width_of(bends([fewer], value))
    curve = fit(fewer, value, replace(doubt, images=0.0, bend=bend))
    if curve is None or not curve.half_widths.any():
        return None
    sizes = _means(runs, value)
    largest, (error, count) = sizes.index[-1], sizes.to_numpy(float)[-1]
    own = _about(1 - curve.accuracy(largest)[0], count, doubt.seeds, bend)
    if covariance is not None:
        moved = [*curve.weights(largest) / sizes["error"].to_numpy(float)[:-1], -1 / error]
        by_run = pd.Series(moved, sizes.index) / sizes["runs"]
        weights = by_run[runs["train_images"].astype(int)].to_numpy(float)
        own = math.hypot(own, NORMAL * math.sqrt(max(0.0, float(weights @ covariance @ weights))))
    return Check(int(largest), *curve.interval(largest, own), 1 - float(error))


def _about(error: float, runs: float, seeds: float, bend: float) -> float:
    """Half the interval of a size's mean about the line: by its seeds, or by what bends curves."""
    return max(seeds / math.sqrt(runs) / error, bend)


def _means(runs: pd.DataFrame, value: str) -> pd.DataFrame:
    """By ascending size the mean `error` and the number of `runs`."""
    known = runs.dropna(subset=[value])
    error = np.maximum(1 - known[value].to_numpy(float), 0.5 / known["test_images"].to_numpy(float))
    by_size = pd.Series(error).groupby(known["train_images"].to_numpy(int))
    return pd.DataFrame({"error": by_size.mean(), "runs": by_size.size()})
