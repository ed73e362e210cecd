"""What the answers of two machines can tell by themselves: equivalent, different, or too few.

Several seeds on each machine tell more than one pair of runs: where there are any, they decide.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from scipy import stats

from stages.comparison.analysis.findings import Evidence, Fault, Kind, Rung, Verdict, Where
from stages.comparison.analysis.seeds import ASSUMED_SD, seeds_needed
from stages.comparison.analysis.statistics import (
    ALPHA,
    Paired,
    discordance,
    more_churn,
    paired_error,
)

SURE = 0.001
"""The p of `chance_of` below which two runs that should agree are called different all the same."""
BY_ANSWERS = (Kind.MCNEMAR, Kind.CHURN, Kind.ACCURACY)
"""What the answers of one pair show; those of several seeds stand in `Evidence.seeds`."""


def worst_of(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for the pairs of several seeds: no better than that of any pair."""
    order = list(Rung)
    worst = min(verdicts, key=lambda verdict: order.index(verdict.rung))
    unanimous = all(verdict.rung is worst.rung for verdict in verdicts)
    damaged = {name: what for verdict in verdicts for name, what in verdict.damaged.items()}
    return replace(worst, pairs=len(verdicts), unanimous=unanimous, damaged=damaged)


def with_replay(verdict: Verdict, fault: Fault | None, whole: bool = False) -> Verdict:
    """The verdict once B was computed again: a fault found so outweighs equivalence and doubt.

    One that the records show already stays: it names a place that needs no replay. Without any,
    the rung stays that of the two runs; `whole` tells that all of B was computed again. Then the
    answers of one pair prove nothing: rounding alone drove the two apart, and how far accuracy
    spreads by that one pair does not tell.
    """
    if fault is None:
        by_answers = verdict.fault is not None and verdict.fault.kind in BY_ANSWERS
        if whole and by_answers and verdict.evidence.seeds is None:
            equal = shows_equivalence(verdict.evidence)
            rung = Rung.STATISTICAL if equal else Rung.UNDECIDED
            return replace(verdict, rung=rung, fault=None, replayed=True)
        return replace(verdict, replayed=whole)
    if verdict.rung in (Rung.INPUTS_DIFFER, Rung.DIFFERENT):
        return verdict
    return replace(verdict, rung=Rung.DIFFERENT, fault=fault)


def by_outcome(evidence: Evidence) -> tuple[Rung, Fault | None]:
    """What the answers alone tell, those over several seeds rather than one pair's.

    One pair is called different beyond doubt only, as in `contradicts_rounding`.
    """
    answers, seeds = evidence.answers, evidence.seeds
    if shows_equivalence(evidence):
        return Rung.STATISTICAL, None
    sure = answers is not None and chance_of(answers) < SURE
    differ = sure if seeds is None else seeds.differ
    fault = Fault(Kind.ACCURACY, Where("accuracy"))
    return (Rung.DIFFERENT, fault) if differ else (Rung.UNDECIDED, None)


def shows_equivalence(evidence: Evidence) -> bool:
    """Whether accuracy agrees within the margin: over the seeds, or else of the one pair."""
    told = evidence.seeds or evidence.answers
    return told is not None and told.equivalent


def contradicts_rounding(evidence: Evidence) -> Fault | None:
    """Answers that are not those of equal models, whatever the training's record shows.

    The accuracy of one pair beyond doubt only, and where it is not shown to agree.
    """
    answers, seeds, beside = evidence.answers, evidence.seeds, evidence.perturbed_answers
    where = Where("later")
    if seeds is not None:
        beyond = Fault(Kind.SEEDS, where, seeds.difference, seeds.margin)
        return beyond if seeds.beyond_margin else None
    if answers is None:
        return None
    if not answers.equivalent and (chance := chance_of(answers)) < SURE:
        return Fault(Kind.MCNEMAR, where, chance, SURE)
    # As many may become right as wrong, so equivalence does not excuse churn.
    if beside is not None and more_churn(answers, beside) < SURE:
        return Fault(Kind.CHURN, where, answers.churn, beside.churn)
    return None


def chance_of(answers: Paired) -> float:
    """How often two equal trainings that rounding drove apart answer so unlike.

    It is McNemar's p, which knows the choice of images alone, and no less than where accuracy also
    spreads over runs as is usual: of 10,000 images McNemar calls a few equal pairs in a hundred
    different at 0.001, for the more images, the less they leave to chance.
    """
    spread = math.hypot(answers.error, math.sqrt(2) * ASSUMED_SD)
    return max(answers.mcnemar_p, 2 * float(stats.norm.sf(abs(answers.difference) / spread)))


def images_needed(answers: Paired) -> int:
    """Test images at which TOST would pass with a power of 80 % if there is no difference.

    Liu et al., Statistics in Medicine 21 (2002): the test's variance is that at the margin.
    """
    half = (answers.only_a + answers.only_b + 1) / (answers.images + 2) / 2
    at_margin = stats.norm.ppf(1 - ALPHA) * math.sqrt(discordance(half, half, answers.margin))
    reach = at_margin + stats.norm.ppf(0.9) * math.sqrt(2 * half)
    return math.ceil((reach / answers.margin) ** 2)


def seeds_needed_by_assumption(answers: Paired) -> int | None:
    """Seeds per machine at which TOST would pass on as many test images, if accuracy spreads as is
    usual and there is no difference; None where so few images never show it.
    """
    sd = max(math.sqrt(2) * ASSUMED_SD, answers.error)
    return seeds_needed(sd, answers.margin, paired_error(0, 0, answers.images))
