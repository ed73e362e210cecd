"""Does it matter? Paired statistics of two models' answers to the same images.

A difference that is not significant is never called equal: equivalence is shown by two one-sided
tests (TOST; Schuirmann 1987) within a margin that the user sets. Shares are in 0…1, a difference
is B minus A.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

ALPHA = 0.05


@dataclass(frozen=True)
class Paired:
    """Two runs on the same images.

    `only_a` and `only_b` count images that one alone has right. `low`, `high` bound the
    difference with 95 % confidence; `tost_p` below 0.05 shows it to lie within ± `margin`.
    `churn` is the share of images, and `changed` the number, that the two answer differently, right
    or wrong; `gap` is the mean difference of their confidence.
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

    @property
    def error(self) -> float:
        """The standard error of the difference that the choice of the images makes."""
        return paired_difference(self.only_a, self.only_b, self.images)[1]

    @property
    def equivalent(self) -> bool:
        """Whether TOST shows the difference to lie within the margin."""
        return self.tost_p < ALPHA

    @property
    def beyond_margin(self) -> bool:
        """Whether the whole interval lies outside the margin."""
        return self.low > self.margin or self.high < -self.margin


def compare_answers(a: pd.DataFrame, b: pd.DataFrame, margin: float) -> Paired | None:
    """Pair two prediction tables by image name; None when they share no image."""
    both = align(a, b)
    if both.empty:
        return None
    right_a = both["predicted_a"] == both["label_a"]
    right_b = both["predicted_b"] == both["label_b"]
    n, only_a, only_b = len(both), int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    difference, error = paired_difference(only_a, only_b, n)
    reach = stats.norm.ppf(1 - ALPHA / 2) * error
    changed = int((both["predicted_a"] != both["predicted_b"]).sum())
    churn = stats.binomtest(changed, n).proportion_ci(method="wilson")
    return Paired(
        images=n,
        top1_a=float(right_a.mean()),
        top1_b=float(right_b.mean()),
        only_a=only_a,
        only_b=only_b,
        difference=(only_b - only_a) / n,
        low=difference - reach,
        high=difference + reach,
        mcnemar_p=exact_mcnemar(only_a, only_b),
        margin=margin,
        tost_p=tost(difference, error, margin),
        changed=changed,
        churn=changed / n,
        churn_low=float(churn.low),
        churn_high=float(churn.high),
        gap=float((both["confidence_a"] - both["confidence_b"]).abs().mean()),
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


def paired_difference(only_a: int, only_b: int, n: int) -> tuple[float, float]:
    """Difference of two paired shares and its standard error, with half an image added per cell.

    Agresti & Min (2005), "Simple improved confidence intervals for comparing matched
    proportions": close to its nominal coverage also for few discordant images.
    """
    b, c, total = only_a + 0.5, only_b + 0.5, n + 2
    return (c - b) / total, math.sqrt(b + c - (c - b) ** 2 / total) / total


def exact_mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided McNemar test: could the discordant images be a fair coin's?"""
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def more_churn(answers: Paired, beside: Paired) -> float:
    """Fisher's exact one-sided p that more answers change than beside, where both may be chance."""
    table = np.array([[each.changed, each.images - each.changed] for each in (answers, beside)])
    return float(stats.fisher_exact(table, alternative="greater").pvalue)


def tost(difference: float, error: float, margin: float, dof: float = math.inf) -> float:
    """The larger p-value of the two one-sided tests that a difference lies within ± margin."""
    return float(stats.t.sf((margin - abs(difference)) / error, dof))


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
