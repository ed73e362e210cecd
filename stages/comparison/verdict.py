"""The ladder: inputs differ, bit-identical, rounding-equivalent, statistically equivalent,
different. A verdict stops at the rung that the records prove, and says what would prove more.
"""

import math
from dataclasses import dataclass
from enum import Enum

from scipy import stats

from stages.comparison.causes import Numerics, explain, said
from stages.comparison.fault import (
    find_fault,
    first_step_apart,
    part_in_words,
    probability_gap,
    rounding_explains,
    same_weights,
)
from stages.comparison.inside import first_bits, places_at
from stages.comparison.parting import find_parting
from stages.comparison.record import Record
from stages.comparison.setup import Difference, effective_precision, same_machine
from stages.comparison.statistics import ALPHA, Paired, Seeds, points

SURE = 0.001
"""McNemar's p below which two runs that should agree are called different all the same."""


class Rung(Enum):
    """The outcomes, with the exit status of each."""

    INPUTS_DIFFER = ("inputs differ", 2)
    BIT_IDENTICAL = ("bit-identical", 0)
    ROUNDING = ("rounding-equivalent", 0)
    STATISTICAL = ("statistically equivalent", 0)
    DIFFERENT = ("different", 1)
    UNDECIDED = ("not decided", 2)

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
    """What the verdict is reached from. `twin_churn` is A's churn against its one-ULP twin."""

    differences: list[Difference]
    numerics: Numerics | None
    answers: Paired | None
    seeds: Seeds | None
    twin_churn: float | None


def reach_verdict(a: Record, b: Record, evidence: Evidence) -> Verdict:
    """Climb the ladder."""
    inputs = [difference for difference in evidence.differences if difference.kind == "input"]
    if inputs:
        return _inputs_differ(inputs, evidence.answers)
    if _identical(a, b):
        return _bit_identical(a, b, evidence)
    precisions = {effective_precision(a), effective_precision(b)}
    if len(precisions) > 1:  # declared, and more than rounding: only the outcome can tell
        return _by_outcome(a, b, evidence)
    precision = precisions.pop()
    if fault := find_fault(a, b, precision):
        sentence = f"Different {fault.where}: {fault.evidence}."
        return Verdict(Rung.DIFFERENT, sentence + _said_of(evidence.answers), fault.where)
    if _only_rounding(a, b, precision):
        if evidence.answers and evidence.answers.mcnemar_p < SURE:
            return _later_difference(a, b, evidence.answers)
        return _rounding(a, b, evidence)
    return _by_outcome(a, b, evidence)


def _inputs_differ(inputs: list[Difference], answers: Paired | None) -> Verdict:
    named = ", ".join(f"{d.key} ({said(d.a)} against {said(d.b)})" for d in inputs[:4])
    more = f" and {len(inputs) - 4} more" if len(inputs) > 4 else ""
    sentence = f"Inputs differ: {named}{more}. These are two experiments, not one on two machines."
    return Verdict(Rung.INPUTS_DIFFER, sentence + _said_of(answers))


def _identical(a: Record, b: Record) -> bool:
    """Equal weights, and equal answers or test figures as far as both runs have them."""
    if not same_weights(a, b):
        return False
    if a.predictions is not None and b.predictions is not None:
        shared = [name for name in a.predictions if name in b.predictions]
        return a.predictions[shared].equals(b.predictions[shared])
    keys = {"test_loss", "test_top1", "ece"} & a.evaluate.keys() & b.evaluate.keys()
    return all(a.evaluate[key] == b.evaluate[key] for key in keys)


def _bit_identical(a: Record, b: Record, evidence: Evidence) -> Verdict:
    compared = "weights"
    if a.predictions is not None and b.predictions is not None:
        compared = f"weights and predictions on {len(a.predictions):,} images"
    sentence = f"Bit-identical: the same {compared}"
    causes = explain(a, b, None)
    if causes:
        sentence += f", although the environment differs ({'; '.join(causes[:2])})"
    silent = [run.name for run in (a, b) if not run.evaluate and run.predictions is None]
    if len(silent) == 2:
        sentence += "; neither run was evaluated"
    elif silent:
        sentence += f"; {silent[0]} was not evaluated"
    return Verdict(Rung.BIT_IDENTICAL, sentence + ".")


def _only_rounding(a: Record, b: Record, precision: str) -> bool:
    explained = rounding_explains(a, b, precision)
    if explained is not None:
        return explained
    # The same weights, evaluated elsewhere: `find_fault` has looked at the probabilities.
    return same_weights(a, b) and a.predictions is not None


def _rounding(a: Record, b: Record, evidence: Evidence) -> Verdict:
    sentence = f"Rounding-equivalent: {_shared(a, b)}; {where_bits_part(a, b)}"
    causes = explain(a, b, evidence.numerics)
    if causes:
        sentence += f" ({causes[0]})"
    elif same_machine(a, b) and not (a.is_twin or b.is_twin):
        sentence += ", although machine and settings are the same"
    apart = first_step_apart(a, b)
    if apart:
        sentence += f"; the gradients are {apart:.0e} apart there"
    if evidence.answers:
        sentence += f"; {evidence.answers.churn:.2%} of predictions differ"
        if evidence.twin_churn is not None:
            sentence += f", where one ULP changes {evidence.twin_churn:.2%} on {a.name}"
    return Verdict(Rung.ROUNDING, sentence + ".")


def _shared(a: Record, b: Record) -> str:
    """What is known to be the same."""
    same = ["data"] if a.indices_sha256 and a.indices_sha256 == b.indices_sha256 else []
    same += ["code"] if a.code and a.code == b.code else []
    hashes = [run.train.get("initial_weights_hash") for run in (a, b)]
    if a.is_twin != b.is_twin:
        same += ["initial weights but for one ULP"]
    elif hashes[0] and hashes[0] == hashes[1]:
        same += ["initial weights"]
    if not same:
        return "the same as far as is known"
    return "same " + (" and ".join([", ".join(same[:-1]), same[-1]]) if same[1:] else same[0])


def where_bits_part(a: Record, b: Record) -> str:
    """The first step and place whose bits differ, as it stands in a sentence."""
    if same_weights(a, b):
        return _in_evaluation_alone(a, b)
    parting = find_parting(a, b)
    place = first_bits(places_at(a, b, 1))
    if place and (place.is_of_forward or parting is None or parting.part != "forward"):
        return f"bits part at step 1 {place.in_words()}"
    if parting is not None and parting.step is not None:
        return f"bits part {part_in_words(parting)}"
    if parting is not None:
        known = all(run.train.get("weights_sha256") for run in (a, b))
        later = "and part later" if known else "and may part later"
        return f"bits agree in all compared steps, of which the last is {parting.after}, {later}"
    return "where bits part is not known without a trace"


def _in_evaluation_alone(a: Record, b: Record) -> str:
    if a.predictions is None or b.predictions is None:
        return "the weights are bit-identical"
    apart = probability_gap(a.predictions, b.predictions)
    return f"the weights are bit-identical and probabilities at most {apart or 0:.0e} apart"


def _later_difference(a: Record, b: Record, answers: Paired) -> Verdict:
    where = "after the recorded steps, or in the evaluation"
    sentence = (
        f"Different {where}: the first steps agree but for rounding, yet the answers are not "
        f"those of equal models (McNemar p {answers.mcnemar_p:.1g})."
    )
    return Verdict(Rung.DIFFERENT, sentence + _said_of(answers), where)


def _by_outcome(a: Record, b: Record, evidence: Evidence) -> Verdict:
    """Nothing but the answers can tell; those over several seeds tell more than one pair."""
    answers, seeds = evidence.answers, evidence.seeds
    if seeds is not None and seeds.tost_p < ALPHA:
        return Verdict(Rung.STATISTICAL, _over_seeds(seeds) + _said_of(answers))
    if answers is None:
        return Verdict(Rung.UNDECIDED, "Not decided: " + _lacking(a, b))
    if answers.equivalent:
        sentence = f"Statistically equivalent within ±{points(answers.margin)} points"
        return Verdict(Rung.STATISTICAL, sentence + "." + _said_of(answers))
    if answers.mcnemar_p < ALPHA and (answers.low > 0 or answers.high < 0):
        return Verdict(Rung.DIFFERENT, "Different in accuracy." + _said_of(answers), "accuracy")
    sentence = (
        f"Not decided: neither a difference nor equivalence within ±{points(answers.margin)} "
        f"points is shown; {_needed(answers)}."
    )
    return Verdict(Rung.UNDECIDED, sentence + _said_of(answers))


def _over_seeds(seeds: Seeds) -> str:
    return (
        f"Statistically equivalent within ±{points(seeds.margin)} points over {seeds.seeds} seeds "
        f"on each machine ({points(seeds.difference, sign=True)} points, 95 % interval "
        f"{points(seeds.low, sign=True)} to {points(seeds.high, sign=True)})."
    )


def _lacking(a: Record, b: Record) -> str:
    missing = {run.name: run.missing for run in (a, b) if run.missing}
    named = "; ".join(f"{name} lacks {', '.join(files)}" for name, files in missing.items())
    return f"there is too little to go by. {named or 'The runs share no test image'}."


def _needed(answers: Paired) -> str:
    """Test images at which TOST would pass with a power of 80 % if there is no difference."""
    spread = (answers.only_a + answers.only_b + 1) / (answers.images + 2)
    reach = stats.norm.ppf(1 - ALPHA) + stats.norm.ppf(0.9)
    images = math.ceil(spread * (reach / answers.margin) ** 2)
    return f"that takes about {images:,} test images, or several seeds on each machine"


def _said_of(answers: Paired | None) -> str:
    if answers is None:
        return ""
    return (
        f" Accuracy differs by {points(answers.difference, sign=True)} points (95 % interval "
        f"{points(answers.low, sign=True)} to {points(answers.high, sign=True)}, margin "
        f"{points(answers.margin)}, n = {answers.images:,})."
    )
