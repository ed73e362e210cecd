"""Does it matter? Paired statistics of two models' answers to the same images.

A difference that is not significant is never called equal: equivalence is shown by two one-sided
tests (TOST; Schuirmann 1987) within a margin that the user sets. Tests and intervals of a paired
difference are those of the score (Tango, Statistics in Medicine 17, 1998), which nearly keep their
level where hardly any answer differs (at most 6.8 % instead of 5 % are called equal at the margin):
there Wald's call too much equal. Shares are in 0…1, a difference is B minus A.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

ALPHA = 0.05
NORMAL = float(stats.norm.ppf(1 - ALPHA / 2))


@dataclass(frozen=True)
class Paired:
    """Two runs on the same images.

    `only_a` and `only_b` count images that one alone has right. `low`, `high` bound the
    difference with 95 % confidence; `tost_p` below 0.05 shows it to lie within ± `margin`.
    `churn` is the share of images, and `changed` the number, that the two answer differently, right
    or wrong; `gap` is the mean difference of their confidence. `one_answer` says that each run
    gives a single answer to all images, as a model that learnt nothing does.
    """

    images: int
    top1_a: float
    top1_b: float
    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    mcnemar_p: float
    margin: float
    tost_p: float
    changed: int
    churn: float
    churn_low: float
    churn_high: float
    gap: float
    one_answer: bool

    @property
    def error(self) -> float:
        """The standard error of the difference that the choice of the images makes."""
        return paired_error(self.only_a, self.only_b, self.images)

    @property
    def equivalent(self) -> bool:
        """Whether TOST shows the difference to lie within the margin."""
        return self.tost_p < ALPHA

    @property
    def differ(self) -> bool:
        """Whether McNemar's test and the interval both exclude a difference of zero."""
        return self.mcnemar_p < ALPHA and (self.low > 0 or self.high < 0)


def compare_answers(a: pd.DataFrame, b: pd.DataFrame, margin: float) -> Paired | None:
    """Pair two prediction tables by image name; None when they share no image."""
    both = align(a, b)
    if both.empty:
        return None
    right_a = both["predicted_a"] == both["label_a"]
    right_b = both["predicted_b"] == both["label_b"]
    n, only_a, only_b = len(both), int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    low, high = paired_interval(only_a, only_b, n)
    changed = int((both["predicted_a"] != both["predicted_b"]).sum())
    churn = stats.binomtest(changed, n).proportion_ci(method="wilson")
    return Paired(
        images=n,
        top1_a=float(right_a.mean()),
        top1_b=float(right_b.mean()),
        only_a=only_a,
        only_b=only_b,
        difference=(only_b - only_a) / n,
        low=low,
        high=high,
        mcnemar_p=exact_mcnemar(only_a, only_b),
        margin=margin,
        tost_p=paired_tost(only_a, only_b, n, margin),
        changed=changed,
        churn=changed / n,
        churn_low=float(churn.low),
        churn_high=float(churn.high),
        gap=float((both["confidence_a"] - both["confidence_b"]).abs().mean()),
        one_answer=n > 1 and all(both[f"predicted_{run}"].nunique() == 1 for run in "ab"),
    )


def align(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """The rows of images that both tables have, columns with the suffixes _a and _b."""
    return a.merge(b, on="name", suffixes=("_a", "_b"), validate="one_to_one")


def probability_gap(a: pd.DataFrame, b: pd.DataFrame) -> float:
    """How far apart some probability of a shared image is at least, as far as four digits tell.

    That is the difference in confidence; where the runs name two classes, each also leaves the
    other's no more than its own confidence is short of 1.
    """
    both = align(a, b)
    one, other = both["confidence_a"], both["confidence_b"]
    beyond = (one + other - 1).where(both["predicted_a"] != both["predicted_b"], 0)
    return float(np.maximum((one - other).abs(), beyond).max()) if len(both) else 0.0


def paired_tost(only_a: int, only_b: int, n: int, margin: float) -> float:
    """The larger p-value of the two one-sided score tests that B minus A lies within ± margin."""
    above = stats.norm.sf(_score(only_a / n, only_b / n, -margin) * math.sqrt(n))
    below = stats.norm.cdf(_score(only_a / n, only_b / n, margin) * math.sqrt(n))
    return float(max(above, below))


def paired_interval(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Ends of the 95 % interval of B minus A: the differences that the score test lets stand."""
    a, b, reach = only_a / n, only_b / n, NORMAL / math.sqrt(n)

    def end(sign: float) -> float:
        def beyond(delta: float) -> float:
            return _score(a, b, delta) + sign * reach

        edge = sign * (1 - 1e-9)
        stands = sign * beyond(edge) > 0  # also the largest difference, as where all images differ
        return sign if stands else float(optimize.brentq(beyond, b - a, edge))

    return end(-1.0), end(1.0)


def paired_error(only_a: int, only_b: int, n: int) -> float:
    """The standard error that goes with `paired_interval`: a normal one of that width."""
    low, high = paired_interval(only_a, only_b, n)
    return (high - low) / (2 * NORMAL)


def shared_error(pairs: Sequence[pd.DataFrame]) -> float:
    """The standard error over test images of what the pairs of all seeds answer alike.

    `pairs` are as `align` gives them, at least two. The covariance image by image of the
    differences of two seeds holds what both have in common; its mean over all twos of seeds is
    taken, and added what is not seen where no answer differs: without it 9 % would be called equal
    at a margin of 0.5 points that 25 of 5,000 images make, and with it 6 % are.
    """
    apart = [
        (both["predicted_b"] == both["label_b"]).astype(float)
        - (both["predicted_a"] == both["label_a"])
        for both in (pair.set_index("name") for pair in pairs)
    ]
    centred = pd.DataFrame({seed: own - own.mean() for seed, own in enumerate(apart)})
    known = centred.fillna(0.0).to_numpy()
    counts = [len(own) for own in apart]
    covariance = known.T @ known / np.outer(counts, counts)
    alike = float(covariance[~np.eye(len(apart), dtype=bool)].mean())
    return math.sqrt(max(alike, 0.0) + paired_error(0, 0, len(centred)) ** 2)


def discordance(a: float, b: float, delta: float) -> float:
    """The variance of B minus A for one image, were `delta` the difference.

    `a` and `b` are the shares of images that one alone has right; the likeliest shares with that
    difference are taken.
    """
    linear = -a - b + (2 - b + a) * delta  # of the quadratic whose root is the likeliest share
    only_a = (math.sqrt(max(0.0, linear**2 + 8 * a * delta * (1 - delta))) - linear) / 4
    return 2 * only_a + delta * (1 - delta)


def _score(a: float, b: float, delta: float) -> float:
    """Tango's statistic over the root of the number of images, normal where `delta` is true."""
    away = b - a - delta
    return away / math.sqrt(discordance(a, b, delta)) if away else 0.0


def exact_mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided McNemar test: could the discordant images be a fair coin's?"""
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def more_churn(answers: Paired, beside: Paired) -> float:
    """Fisher's exact one-sided p that more answers change than beside, where both may be chance."""
    table = np.array([[each.changed, each.images - each.changed] for each in (answers, beside)])
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def compare_classes(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Per class of the label: images, both accuracies, difference, McNemar p, and p adjusted.

    The adjustment (Benjamini & Hochberg 1995) keeps the share of false alarms among classes.
    """
    both = align(a, b)
    rows = []
    for label, group in both.groupby("label_a"):
        right_a = group["predicted_a"] == group["label_a"]
        right_b = group["predicted_b"] == group["label_a"]
        p = exact_mcnemar(int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum()))
        rows.append((label, len(group), right_a.mean(), right_b.mean(), p))
    table = pd.DataFrame(rows, columns=["label", "images", "top1_a", "top1_b", "p"])
    table["difference"] = table["top1_b"] - table["top1_a"]
    table["p_adjusted"] = stats.false_discovery_control(table["p"]) if len(table) else []
    return table


def points(share: float, sign: bool = False) -> str:
    """A share as percentage points with two digits."""
    return f"{100 * share:{'+' if sign else ''}.2f}"
