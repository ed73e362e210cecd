"""What the answers of two machines can tell by themselves: equivalent, different, or too few.

Several seeds on each machine tell more than one pair of runs: where there are any, they decide.
Leaves what the records of the training prove to `verdict`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from scipy import stats

from stages.comparison.analysis.causes import Numerics
from stages.comparison.analysis.growth import Growth
from stages.comparison.analysis.seeds import ASSUMED_SD, Seeds, seeds_needed
from stages.comparison.analysis.setup import Difference
from stages.comparison.analysis.statistics import ALPHA, Paired, points
from stages.runs.run import Run

SURE = 0.001
"""McNemar's p below which two runs that should agree are called different all the same."""


class Rung(Enum):
    """The outcomes, with the exit status of each; in the order in which one outweighs another."""

    INPUTS_DIFFER = ("inputs differ", 2)
    DIFFERENT = ("different", 1)
    UNDECIDED = ("not decided", 2)
    STATISTICAL = ("statistically equivalent", 0)
    ROUNDING = ("rounding-equivalent", 0)
    BIT_IDENTICAL = ("bit-identical", 0)

    @property
    def words(self) -> str:
        """The rung as it is printed."""
        return self.value[0]

    @property
    def exit_status(self) -> int:
        """0 equivalent, 1 different, 2 not comparable or not decided."""
        return self.value[1]


@dataclass(frozen=True)
class Verdict:
    """The rung, one sentence, and for a difference the place (None when no place was found)."""

    rung: Rung
    sentence: str
    where: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What the verdict is reached from.

    `perturbed_churn` and `perturbed_growth` are those of A against itself perturbed by one ULP.
    """

    differences: list[Difference]
    numerics: Numerics | None
    answers: Paired | None
    seeds: Seeds | None
    growth: Growth | None
    perturbed_churn: float | None
    perturbed_growth: Growth | None


def worst_of(verdicts: Sequence[Verdict], pairs: Sequence[tuple[Run, Run]]) -> Verdict:
    """One verdict for the pairs of several seeds: no better than that of any pair."""
    if len(verdicts) == 1:
        return verdicts[0]
    order = list(Rung)
    place = min(range(len(verdicts)), key=lambda index: order.index(verdicts[index].rung))
    worst, (a, b) = verdicts[place], pairs[place]
    if all(verdict.rung is worst.rung for verdict in verdicts):
        told = f"{worst.sentence} The same goes for all {len(verdicts)} pairs of seeds."
    else:
        told = f"{worst.sentence} So it is for {a.name} and {b.name}, and that pair decides."
    return Verdict(worst.rung, told, worst.where)


def by_outcome(a: Run, b: Run, evidence: Evidence) -> Verdict:
    """Nothing but the answers can tell; those over several seeds tell more than one pair."""
    answers, seeds = evidence.answers, evidence.seeds
    if seeds is not None:
        return _by_seeds(seeds)
    if answers is None:
        return Verdict(Rung.UNDECIDED, "Not decided: " + _lacking(a, b))
    if answers.equivalent:
        sentence = f"Statistically equivalent within ±{points(answers.margin)} points"
        return Verdict(Rung.STATISTICAL, sentence + "." + accuracy_in_words(evidence))
    if answers.mcnemar_p < ALPHA and (answers.low > 0 or answers.high < 0):
        sentence = "Different in accuracy." + accuracy_in_words(evidence)
        return Verdict(Rung.DIFFERENT, sentence, "accuracy")
    sentence = (
        f"Not decided: neither a difference nor equivalence within ±{points(answers.margin)} "
        f"points is shown; {_needed(answers)}."
    )
    return Verdict(Rung.UNDECIDED, sentence + accuracy_in_words(evidence))


def _by_seeds(seeds: Seeds) -> Verdict:
    told = _seeds_in_words(seeds)
    if seeds.equivalent:
        sentence = f"Statistically equivalent within ±{points(seeds.margin)} points.{told}"
        return Verdict(Rung.STATISTICAL, sentence)
    if seeds.differ:
        return Verdict(Rung.DIFFERENT, f"Different in accuracy.{told}", "accuracy")
    more = f"; equivalence takes about {seeds.needed:,} seeds per machine" if seeds.needed else ""
    sentence = (
        f"Not decided: neither a difference nor equivalence within ±{points(seeds.margin)} points "
        f"is shown{more}.{told}"
    )
    return Verdict(Rung.UNDECIDED, sentence)


def contradicts_rounding(evidence: Evidence) -> str | None:
    """In words, why the answers are not those of equal models; None when they may be."""
    answers, seeds = evidence.answers, evidence.seeds
    if seeds is not None:
        return "the interval over the seeds lies beyond the margin" if seeds.beyond_margin else None
    if answers is None:
        return None
    if answers.mcnemar_p < SURE:
        return f"McNemar p {answers.mcnemar_p:.1g}"
    return "the whole interval lies beyond the margin" if answers.beyond_margin else None


def accuracy_in_words(evidence: Evidence) -> str:
    """The difference in accuracy as a sentence, over the seeds where there are any, or nothing."""
    if evidence.seeds is not None:
        return _seeds_in_words(evidence.seeds)
    answers = evidence.answers
    if answers is None:
        return ""
    return (
        f" Accuracy, second run minus first: {points(answers.difference, sign=True)} points "
        f"(95 % interval {points(answers.low, sign=True)} to {points(answers.high, sign=True)}, "
        f"margin {points(answers.margin)}, n = {answers.images:,})."
    )


def _seeds_in_words(seeds: Seeds) -> str:
    return (
        f" Accuracy over {seeds.seeds} seeds on each machine, second minus first: "
        f"{points(seeds.difference, sign=True)} points (95 % interval "
        f"{points(seeds.low, sign=True)} to {points(seeds.high, sign=True)}, margin "
        f"{points(seeds.margin)})."
    )


def _lacking(a: Run, b: Run) -> str:
    missing = {run.name: run.missing for run in (a, b) if run.missing}
    named = "; ".join(f"{name} lacks {', '.join(files)}" for name, files in missing.items())
    return f"there is too little to go by. {named or 'The runs share no test image'}."


def _needed(answers: Paired) -> str:
    """Test images at which TOST would pass with a power of 80 % if there is no difference."""
    spread = (answers.only_a + answers.only_b + 1) / (answers.images + 2)
    reach = stats.norm.ppf(1 - ALPHA) + stats.norm.ppf(0.9)
    images = math.ceil(spread * (reach / answers.margin) ** 2)
    told = f"that takes about {images:,} test images, or several seeds on each machine"
    if seeds := seeds_needed(math.sqrt(2) * ASSUMED_SD, answers.margin):
        told += f": {seeds:,} if accuracy spreads over seeds by {points(ASSUMED_SD)} points, which "
        told += "is assumed"
    return told
