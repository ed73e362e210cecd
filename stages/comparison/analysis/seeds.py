"""Several seeds on each of two machines: the paired difference, and how many seeds would do.

Its variance has two parts: that over seeds, which shrinks with their number, and that over test
images, of what all seeds answer alike, which does not: a fault that hits some images hits them in
every seed. The second comes from `statistics.shared_error`.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize, stats

from stages.comparison.analysis.statistics import ALPHA

ASSUMED_SD = 0.002
"""Spread of a recipe's accuracy over seeds, a share, where no seeds tell it: 0.15 to 0.25 points
are usual for CIFAR-10 and its kin."""

SMALLEST_LOG_P, HALF = -600.0, math.log(0.5)
"""Logarithms of the p-values between which one is looked for."""


@dataclass(frozen=True)
class Seeds:
    """Several seeds on each of two machines, paired by seed.

    `sd` is the spread of the paired differences, no less than what the discordant test images
    make of it; `sd_within` is that of the seeds on one machine. `needed` is the number of seeds
    per machine at which TOST would show equivalence if there is no difference; None when these are
    as many already, or when no number of them would do on these test images (`out_of_reach`).
    """

    seeds: int
    difference: float
    low: float
    high: float
    sd: float
    sd_within: float
    tost_p: float
    margin: float
    needed: int | None
    out_of_reach: bool

    @property
    def equivalent(self) -> bool:
        """Whether TOST shows the mean difference to lie within the margin."""
        return self.tost_p < ALPHA

    @property
    def differ(self) -> bool:
        """Whether the interval excludes a difference of zero."""
        return self.low > 0 or self.high < 0

    @property
    def beyond_margin(self) -> bool:
        """Whether the whole interval lies outside the margin."""
        return self.low > self.margin or self.high < -self.margin


def compare_seeds(
    a: Sequence[float],
    b: Sequence[float],
    margin: float,
    errors: Sequence[float] = (),
    shared: float = 0.0,
) -> Seeds | None:
    """Accuracies of the same seeds on two machines; None for fewer than two pairs.

    Two or three differences may be equal by luck, so their spread counts as no less than `errors`,
    the standard errors that the test images alone make; `shared` is that which all seeds have in
    common. None also when all differences are equal and no errors are known: there is nothing to go
    by.
    """
    if len(a) != len(b) or len(a) < 2:
        return None
    differences = np.subtract(b, a)
    floor = float(np.sqrt(np.mean(np.square(errors)))) if errors else 0.0
    sd = max(float(differences.std(ddof=1)), floor)
    if sd == 0:
        return None
    mean, reach = float(differences.mean()), float(reach_of_mean(sd, len(a), shared, ALPHA / 2))
    needed = seeds_needed(sd, margin, shared)
    return Seeds(
        seeds=len(a),
        difference=mean,
        low=mean - reach,
        high=mean + reach,
        sd=sd,
        sd_within=math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 2),
        tost_p=_tost_p(mean, sd, len(a), shared, margin),
        margin=margin,
        needed=needed if needed and needed > len(a) else None,
        out_of_reach=needed is None,
    )


def reach_of_mean(
    sd: float | NDArray[np.float64], seeds: int, shared: float, alpha: float
) -> float | NDArray[np.float64]:
    """How far the mean difference may be off on one side, but for a share `alpha` of cases.

    What seeds and images leave open are added in quadrature (Howe, JASA 69, 1974), the one by
    Student's t, the other, which is known, by the normal: degrees of freedom for both together
    (Satterthwaite) missed 12 % instead of 5 where two seeds happened to be near each other.
    """
    own = stats.t.isf(alpha, seeds - 1) * sd / math.sqrt(seeds)
    return np.hypot(own, stats.norm.isf(alpha) * shared)


def _tost_p(difference: float, sd: float, seeds: int, shared: float, margin: float) -> float:
    """The larger p of the two one-sided tests: where the reach is what the margin leaves."""
    room = margin - abs(difference)

    def beyond(log_p: float) -> float:
        return float(reach_of_mean(sd, seeds, shared, math.exp(log_p))) - abs(room)

    found = optimize.brentq(beyond, SMALLEST_LOG_P, HALF) if beyond(SMALLEST_LOG_P) > 0 else -np.inf
    return math.exp(found) if room > 0 else 1 - math.exp(found)


def seeds_needed(
    sd: float, margin: float, shared: float = 0.0, power: float = 0.8, most: int = 10_000
) -> int | None:
    """Pairs for TOST to show equivalence when there is no difference; None if more than `most`.

    `sd` is that of the paired differences, `shared` the error that all seeds have in common; all
    in the same unit.
    """
    counts = range(2, most + 1)

    def power_with(seeds: int) -> float:
        return tost_power(sd / math.sqrt(seeds), seeds - 1, margin, shared) if sd else 1.0

    place = bisect_left(counts, power, key=power_with)
    return counts[place] if place < len(counts) else None


def tost_power(error: float, dof: float, margin: float, shared: float = 0.0) -> float:
    """Exact power of TOST when there is no true difference.

    `error` is the standard error of the difference, known with `dof` degrees of freedom: n
    pairs whose differences spread by sd have sd / √n and n - 1; `shared` is a known one beside it.
    Integrates the normal difference over the distribution of the estimated standard error
    (Phillips 1990, "Power of the two one-sided tests procedure").
    """
    critical, known = stats.t.isf(ALPHA, dof), stats.norm.isf(ALPHA) * shared
    if margin <= known:
        return 0.0

    def integrand(ratio: float) -> float:
        room = (margin - math.hypot(critical * error * ratio, known)) / math.hypot(error, shared)
        density = stats.chi.pdf(ratio * math.sqrt(dof), dof) * math.sqrt(dof)
        return float((2 * stats.norm.cdf(room) - 1) * density)

    # The density is a narrow peak around 1, which a search over all ratios would miss.
    width = 10 / math.sqrt(2 * dof)
    most = math.sqrt(margin**2 - known**2) / (critical * error)
    low, high = max(0.0, 1 - width), min(most, 1 + width)
    return float(integrate.quad(integrand, low, high)[0]) if low < high else 0.0
