"""The ladder: inputs differ, bit-identical, rounding-equivalent, statistically equivalent,
different. A verdict stops at the rung that the records prove, and says what would prove more.

Leaves what the answers alone can tell to `outcome`.
"""

from stages.comparison.analysis.causes import explain, format_value
from stages.comparison.analysis.fault import (
    find_fault,
    first_step_distance,
    place_in_words,
    rounding_explains,
    same_weights,
)
from stages.comparison.analysis.first_divergence import find_first_divergence
from stages.comparison.analysis.growth import Growth
from stages.comparison.analysis.outcome import (
    Evidence,
    Rung,
    Verdict,
    accuracy_in_words,
    by_outcome,
    contradicts_rounding,
)
from stages.comparison.analysis.setup import effective_precision, same_images, same_machine
from stages.comparison.analysis.statistics import probability_gap
from stages.comparison.analysis.step_trace import first_bits, places_at
from stages.core.counts import counted
from stages.runs.run import Run

PERTURBED_FACTOR = 30
"""How many times as far as those of A perturbed by one ULP the weights of B may be at the end."""

PERTURBED_AWAKE = 1e-4
"""Distance of the perturbed run's weights from which it tells anything: rounding grows by jumps at
chance steps, and at bf16 one ULP of float32 may be swallowed for good."""

STILL_ONE = 1e-3
"""Relative distance of the final weights up to which two runs made one model without a doubt."""


def reach_verdict(a: Run, b: Run, evidence: Evidence) -> Verdict:
    """Climb the ladder."""
    if any(difference.kind == "input" for difference in evidence.differences):
        return _inputs_differ(evidence)
    if _identical(a, b):
        return _bit_identical(a, b, evidence)
    precisions = {effective_precision(a), effective_precision(b)}
    if len(precisions) > 1:  # declared, and more than rounding: only the outcome can tell
        return by_outcome(a, b, evidence)
    precision = precisions.pop()
    if fault := find_fault(a, b, precision):
        sentence = f"Different {fault.where}: {fault.evidence}."
        return Verdict(Rung.DIFFERENT, sentence + accuracy_in_words(evidence), fault.where)
    if _only_rounding(a, b, precision):
        return _after_equal_steps(a, b, evidence)
    return by_outcome(a, b, evidence)


def _inputs_differ(evidence: Evidence) -> Verdict:
    inputs = [difference for difference in evidence.differences if difference.kind == "input"]
    named = ", ".join(
        f"{d.key} ({format_value(d.a)} against {format_value(d.b)})" for d in inputs[:4]
    )
    more = f" and {len(inputs) - 4} more" if len(inputs) > 4 else ""
    sentence = f"Inputs differ: {named}{more}. These are two experiments, not one on two machines."
    return Verdict(Rung.INPUTS_DIFFER, sentence + accuracy_in_words(evidence))


def _after_equal_steps(a: Run, b: Run, evidence: Evidence) -> Verdict:
    """The first steps agree but for rounding: do the later ones, as far as anything tells?"""
    if against := contradicts_rounding(evidence):
        return _later_difference(evidence, against)
    if _beyond_the_perturbed(evidence):
        found = by_outcome(a, b, evidence)
        told = (
            f" The final weights differ more than {PERTURBED_FACTOR} times as much as by one ULP."
        )
        return Verdict(found.rung, found.sentence + told, found.where)
    judged = evidence.answers or evidence.seeds or same_weights(a, b)
    if judged or _followed_to_the_end(a, evidence.growth):
        return _rounding(a, b, evidence)
    sentence = (
        f"Not decided: rounding-equivalent in the recorded steps ({where_bits_diverge(a, b)}), but "
        "what came after them is not known without the predictions of both runs."
    )
    return Verdict(Rung.UNDECIDED, sentence)


def _beyond_the_perturbed(evidence: Evidence) -> bool:
    """Whether the weights end further apart than what one ULP does explains."""
    growth, perturbed = evidence.growth, evidence.perturbed_growth
    if growth is None or perturbed is None or growth.steps[-1] not in perturbed.steps:
        return False
    beside = perturbed.distance[perturbed.steps.index(growth.steps[-1])]
    return growth.distance[-1] > PERTURBED_FACTOR * beside > PERTURBED_FACTOR * PERTURBED_AWAKE


def _followed_to_the_end(a: Run, growth: Growth | None) -> bool:
    """Whether the weights were compared after the last step, and are still the same model's."""
    steps = a.train.get("steps")
    return growth is not None and growth.steps[-1] == steps and growth.distance[-1] <= STILL_ONE


def _later_difference(evidence: Evidence, against: str) -> Verdict:
    where = "after the recorded steps, or in the evaluation"
    sentence = (
        f"Different {where}: the first steps agree but for rounding, yet the answers are not "
        f"those of equal models ({against})."
    )
    return Verdict(Rung.DIFFERENT, sentence + accuracy_in_words(evidence), where)


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


def _bit_identical(a: Run, b: Run, evidence: Evidence) -> Verdict:
    compared = "weights"
    if a.predictions is not None and b.predictions is not None:
        compared = f"weights and predictions on {counted(len(a.predictions), 'image')}"
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


def _only_rounding(a: Run, b: Run, precision: str) -> bool:
    explained = rounding_explains(a, b, precision)
    if explained is not None:
        return explained
    # The same weights, evaluated elsewhere: `find_fault` has looked at the probabilities.
    return bool(same_weights(a, b)) and a.predictions is not None


def _rounding(a: Run, b: Run, evidence: Evidence) -> Verdict:
    sentence = f"Rounding-equivalent: {_shared(a, b)}; {where_bits_diverge(a, b)}"
    causes = explain(a, b, evidence.numerics)
    if causes:
        sentence += f" ({causes[0]})"
    elif same_machine(a, b) and not (a.is_perturbed or b.is_perturbed):
        sentence += ", although machine and settings are the same"
    distance = first_step_distance(a, b)
    if distance:
        sentence += f"; relative distance of the gradients there {distance:.0e}"
    if evidence.answers:
        sentence += f"; {evidence.answers.churn:.2%} of predictions differ"
        if evidence.perturbed_churn is not None:
            sentence += f", where one ULP changes {evidence.perturbed_churn:.2%} on {a.name}"
    return Verdict(Rung.ROUNDING, sentence + "." + accuracy_in_words(evidence))


def _shared(a: Run, b: Run) -> str:
    """What is known to be the same."""
    same = ["data"] if same_images(a, b) else []
    same += ["code"] if a.code and a.code == b.code else []
    hashes = [run.train.get("initial_weights_hash") for run in (a, b)]
    if a.is_perturbed != b.is_perturbed:
        same += ["initial weights but for one ULP"]
    elif hashes[0] and hashes[0] == hashes[1]:
        same += ["initial weights"]
    if not same:
        return "the same as far as is known"
    return "same " + (" and ".join([", ".join(same[:-1]), same[-1]]) if same[1:] else same[0])


def where_bits_diverge(a: Run, b: Run) -> str:
    """The first step and place whose bits differ, as it stands in a sentence."""
    if same_weights(a, b):
        return _in_evaluation_alone(a, b)
    divergence = find_first_divergence(a, b)
    place = first_bits(places_at(a, b, 1))
    if place and (place.is_of_forward or divergence is None or divergence.part != "forward"):
        return f"first divergence at step 1, {place.describe()}"
    if divergence is not None and divergence.step is not None:
        return f"first divergence {place_in_words(divergence)}"
    if divergence is not None:
        known = same_weights(a, b) is not None
        later = "the runs diverge later" if known else "they may diverge later"
        return f"all compared steps agree to the bit, the last is step {divergence.after}; {later}"
    return "the first divergence is not known without a trace"


def _in_evaluation_alone(a: Run, b: Run) -> str:
    if a.predictions is None or b.predictions is None:
        return "the weights are bit-identical"
    distance = probability_gap(a.predictions, b.predictions)
    told = f"differ by {distance:.0e}" if distance > 0 else "are the same in the four digits kept"
    return f"the weights are bit-identical, and probabilities {told}"
