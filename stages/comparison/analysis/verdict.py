"""The ladder: inputs differ, bit-identical, rounding-equivalent, statistically equivalent,
different. A verdict stops at the rung that the records prove, and says how far they reach.
"""

from dataclasses import replace

from stages.comparison.analysis.causes import explain
from stages.comparison.analysis.coverage import (
    beyond_the_perturbed,
    rounding_until,
    uncovered_parts,
)
from stages.comparison.analysis.evaluation import same_weights
from stages.comparison.analysis.fault import find_fault, first_step_distance, rounding_explains
from stages.comparison.analysis.findings import Evidence, Fault, Kind, Rung, Verdict, Where
from stages.comparison.analysis.first_divergence import find_first_divergence
from stages.comparison.analysis.outcome import (
    by_outcome,
    contradicts_rounding,
    shows_equivalence,
)
from stages.comparison.analysis.setup import (
    effective_precision,
    same_code,
    same_images,
    same_machine,
)
from stages.comparison.analysis.statistics import probability_gap
from stages.comparison.analysis.step_trace import first_bits, places_at
from stages.runs.run import Run


def reach_verdict(a: Run, b: Run, evidence: Evidence) -> Verdict:
    """Climb the ladder. Other results are no fault of a machine's where not both runs tell their
    parameters: such a verdict keeps what differs, and is not decided.
    """
    verdict = _climbed(a, b, evidence)
    if verdict.rung is Rung.DIFFERENT and not (a.params and b.params):
        return replace(verdict, rung=Rung.UNDECIDED)
    return verdict


def _climbed(a: Run, b: Run, evidence: Evidence) -> Verdict:
    plain = _described(a, b, evidence)
    if any(difference.kind == "input" for difference in evidence.differences):
        return replace(plain, rung=Rung.INPUTS_DIFFER)
    if _identical(a, b):
        return replace(plain, rung=Rung.BIT_IDENTICAL, divergence=None, probability_gap=None)
    precisions = {effective_precision(a), effective_precision(b)}
    if len(precisions) > 1:  # declared, and more than rounding: only the outcome can tell
        rung, fault = by_outcome(evidence)
        return replace(plain, rung=rung, fault=fault)
    precision = precisions.pop()
    if fault := find_fault(a, b, precision, evidence.tied):
        return replace(plain, rung=Rung.DIFFERENT, fault=fault)
    if _ought_to_be_equal(a, b, evidence):
        where = plain.divergence or Where("later", "weights")
        return replace(plain, rung=Rung.DIFFERENT, fault=Fault(Kind.SAME_MACHINE, where))
    if _begins_by_rounding(a, b, precision, evidence.tied):
        return _after_equal_steps(a, b, plain, precision)
    rung, fault = by_outcome(evidence)
    return replace(plain, rung=rung, fault=fault)


def _after_equal_steps(a: Run, b: Run, plain: Verdict, precision: str) -> Verdict:
    """The first steps agree but for rounding: how far is that shown, and what of the rest?"""
    evidence = plain.evidence
    until = rounding_until(a, b, evidence, precision)
    uncovered = uncovered_parts(a, b, evidence, until)
    partly = replace(plain, rounding_until=until, uncovered=uncovered)
    if fault := contradicts_rounding(evidence):
        return replace(partly, rung=Rung.DIFFERENT, fault=fault)
    if not uncovered and not beyond_the_perturbed(evidence):
        return replace(partly, rung=Rung.ROUNDING)
    return replace(partly, rung=Rung.STATISTICAL if shows_equivalence(evidence) else Rung.UNDECIDED)


def _described(a: Run, b: Run, evidence: Evidence) -> Verdict:
    """A verdict with all that is known of the runs, its rung still open."""
    gap = None
    if a.predictions is not None and b.predictions is not None and same_weights(a, b):
        gap = probability_gap(a.predictions, b.predictions)
    runs = (a, b)
    return Verdict(
        rung=Rung.UNDECIDED,
        a=a.name,
        b=b.name,
        evidence=evidence,
        steps=a.train.get("steps"),
        shared=_shared(a, b),
        divergence=where_bits_diverge(a, b),
        gradient_distance=first_step_distance(a, b),
        probability_gap=gap,
        causes=explain(a, b, evidence.numerics),
        missing={run.name: run.missing for run in runs if run.missing},
        damaged={run.name: run.damaged for run in runs if run.damaged},
        not_evaluated=tuple(
            run.name for run in runs if not run.evaluate and run.predictions is None
        ),
        no_predictions=tuple(run.name for run in runs if run.evaluate and run.predictions is None),
    )


def _ought_to_be_equal(a: Run, b: Run, evidence: Evidence) -> bool:
    """Whether nothing that decides the bits differs, so that no rounding explains other ones.

    Not where a probe or the settings allow bits that vary, nor for trainings shared by processes,
    nor where a record is damaged, whose figures may be of another run.
    """
    if same_weights(a, b) is None or not same_machine(a, b) or a.damaged or b.damaged:
        return False
    told = a.params and b.params and same_code(a, b)
    alike = all(difference.kind == "neutral" for difference in evidence.differences)
    if not (told and alike) or a.is_perturbed or b.is_perturbed:
        return False
    train = a.params.get("train", {})
    alone = train.get("devices", 1) == 1 and not any("processes" in run.train for run in (a, b))
    repeats = train.get("deterministic", True) is True and alone
    varies = any(run.numerics.get("not_repeatable") for run in (a, b))
    return repeats and not varies


def _identical(a: Run, b: Run) -> bool:
    """Equal weights, and equal answers or test figures as far as both runs have them."""
    if not same_weights(a, b):
        return False
    if a.predictions is not None and b.predictions is not None:
        shared = [name for name in a.predictions if name in b.predictions]
        if not a.predictions[shared].equals(b.predictions[shared]):
            return False
    # Predictions have four digits; a last bit of any confidence shows in the calibration error.
    keys = {"test_loss", "test_top1", "ece"} & a.evaluate.keys() & b.evaluate.keys()
    return all(a.evaluate[key] == b.evaluate[key] for key in keys)


def _begins_by_rounding(a: Run, b: Run, precision: str, tied: bool) -> bool:
    explained = rounding_explains(a, b, precision, tied)
    if explained is not None:
        return explained
    # The same weights, evaluated elsewhere: `find_fault` has looked at the probabilities.
    return bool(same_weights(a, b)) and a.predictions is not None


def _shared(a: Run, b: Run) -> tuple[str, ...]:
    """What is known to be the same."""
    same = ["data"] if same_images(a, b) else []
    same += ["code"] if same_code(a, b) else []
    hashes = [run.train.get("initial_weights_hash") for run in (a, b)]
    if a.is_perturbed != b.is_perturbed:
        same += ["initial weights but for one ULP"]
    elif hashes[0] and hashes[0] == hashes[1]:
        same += ["initial weights"]
    return tuple(same)


def where_bits_diverge(a: Run, b: Run) -> Where | None:
    """The first place whose bits differ: in a step, in the evaluation alone, or after all steps
    that were compared (`later`); None when no record tells.
    """
    if same_weights(a, b):
        return Where("evaluation")
    divergence = find_first_divergence(a, b)
    place = first_bits(places_at(a, b, 1))
    if place and (place.is_of_forward or divergence is None or divergence.part != "forward"):
        return place.at(1)
    if divergence is None:
        return None
    known = same_weights(a, b) is not None
    return replace(divergence.where, name="weights" if known and divergence.step is None else "")
