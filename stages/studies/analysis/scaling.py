"""Learning curves: the test error as a power of the number of training images.

error(n) = a · n^(-b), a straight line in logarithms (Hestness et al., arXiv:1712.00409), fitted
to every run of one model by least squares. The band is the 95 % interval of the line, by
Student's t, and no narrower than the seeds of the whole study and the number of test images allow:
two pairs of runs may lie on a line by chance. A floor below which more images do not help cannot be
told from the few sizes of a study, so nothing is predicted beyond ten times the largest size.
Checked by leaving out the largest size and predicting it.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

FARTHEST = 10  # times the largest size, beyond which nothing is predicted


@dataclass(frozen=True)
class Curve:
    """A fitted line ln(error) = intercept + slope · (ln(n) - centre), and its uncertainty.

    `half_width` is half the 95 % interval of one run about the line and `common` that of an error
    that all runs share, both in ln(error); `largest` is the largest size.
    """

    slope: float
    intercept: float
    centre: float
    half_width: float
    common: float
    squares: float
    runs: int
    largest: float

    @property
    def exponent(self) -> float:
        """B of error = a · n^(-b): 0.5 halves the error with four times the images."""
        return -self.slope

    @property
    def exponent_half_width(self) -> float:
        """Half the 95 % interval of the exponent."""
        return self.half_width / math.sqrt(self.squares)

    @property
    def farthest(self) -> float:
        """Images beyond which nothing is predicted."""
        return FARTHEST * self.largest

    def accuracy(self, images: float) -> tuple[float, float, float]:
        """Expected accuracy at `images` with its 95 % interval, for the mean of many runs."""
        return self._at(images, 0.0)

    def one_run(self, images: float) -> tuple[float, float, float]:
        """The same for a single new run."""
        return self._at(images, 1.0)

    def images_for(self, target: float) -> tuple[float | None, float | None, float | None]:
        """Images until the expected accuracy is `target`, and where the band reaches it.

        (expected, fewest, most), each at least one image; None where it is beyond `farthest`.
        """
        return tuple(self._crossing(target, which) for which in (0, 2, 1))  # type: ignore[return-value]

    def _at(self, images: float, own: float) -> tuple[float, float, float]:
        offset = math.log(images) - self.centre
        line = self.intercept + self.slope * offset
        line_half_width = self.half_width * math.sqrt(
            own + 1 / self.runs + offset**2 / self.squares
        )
        half_width = math.hypot(line_half_width, self.common)
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


def fit(runs: pd.DataFrame, value: str, seeds: float = 0.0, images: float = 0.0) -> Curve | None:
    """Fit the runs of one model; None for fewer than two sizes or three runs.

    `runs` has `train_images`, `test_images` and `value`, a share of these. `seeds` and `images` are
    half the 95 % intervals of one run's share over seeds, as known from more runs than these, and
    of a mean over draws of test images. A run without a mistake counts as half of one.
    """
    known = runs.dropna(subset=[value])
    if known["train_images"].nunique() < 2 or len(known) < 3:
        return None
    least = 0.5 / known["test_images"].to_numpy(float)
    x = np.log(known["train_images"].to_numpy(float))
    y = np.log(np.maximum(1 - known[value].to_numpy(float), least))
    centre = float(x.mean())
    line = stats.linregress(x - centre, y)
    squares = float(((x - centre) ** 2).sum())
    left = y - line.intercept - line.slope * (x - centre)
    residual = math.sqrt(float((left**2).sum()) / (len(x) - 2))
    error = float(np.exp(y.mean()))
    return Curve(
        slope=float(line.slope),
        intercept=float(line.intercept),
        centre=centre,
        half_width=max(float(stats.t.ppf(0.975, len(x) - 2)) * residual, seeds / error),
        common=images / error,
        squares=squares,
        runs=len(x),
        largest=float(known["train_images"].max()),
    )


def leave_out_largest(
    runs: pd.DataFrame, value: str, seeds: float = 0.0, images: float = 0.0
) -> Check | None:
    """Fit without the largest size and predict the mean of its runs; None where that cannot be.

    `seeds` and `images` are those of `fit`.
    """
    largest = runs["train_images"].max()
    last = runs[runs["train_images"] == largest]
    curve = fit(runs[runs["train_images"] < largest], value, seeds, images)
    if curve is None:
        return None
    predicted, low, high = curve.one_run(float(largest))
    return Check(int(largest), predicted, low, high, float(last[value].mean()))
