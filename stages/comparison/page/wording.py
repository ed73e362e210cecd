"""A verdict in words: one sentence or two for what was proved, the place, causes and figures.

The findings are data (`analysis/findings.py`); this file and `terms` word them.
"""

from collections.abc import Callable

from stages.comparison.analysis.findings import Kind, Rung, Verdict
from stages.comparison.analysis.seeds import Seeds
from stages.comparison.analysis.statistics import Paired, points
from stages.comparison.page.needed import needed_of_one_pair, needed_of_seeds
from stages.comparison.page.terms import (
    cause_in_words,
    fault_in_words,
    format_value,
    lacking_in_words,
    replayed_in_words,
    where_in_words,
)
from stages.core.counts import counted, first_few


def sentence_of(verdict: Verdict) -> str:
    """The verdict as it is printed above everything else."""
    told = _damaged(verdict) + _RUNGS[verdict.rung](verdict) + _replayed(verdict)
    if verdict.pairs == 1:
        return told
    if verdict.unanimous:
        return f"{told} All {verdict.pairs} pairs of seeds have this verdict."
    return f"{told} So it is for {verdict.a} and {verdict.b}, and that pair decides."


def _damaged(verdict: Verdict) -> str:
    """What is there and not believed, before anything else is said."""
    return "".join(
        f"Of {name} {', '.join(files)} {'is' if len(files) == 1 else 'are'} damaged and left out. "
        for name, files in verdict.damaged.items()
    )


def _replayed(verdict: Verdict) -> str:
    """What a replay adds to a verdict that is not of every step."""
    if not verdict.replayed or verdict.rung not in (Rung.STATISTICAL, Rung.UNDECIDED):
        return ""
    return (
        f" Computed again on this machine, from its own states, {verdict.b} differs by rounding "
        "alone, in every step and in its answers."
    )


def rung_of(verdict: Verdict) -> str:
    """The rung in a few words, with the step up to which rounding alone was shown."""
    if verdict.rounding_until and verdict.rung not in (Rung.ROUNDING, Rung.BIT_IDENTICAL):
        return f"{verdict.rung.words}, rounding up to step {verdict.rounding_until}"
    return verdict.rung.words


def _inputs_differ(verdict: Verdict) -> str:
    inputs = [d for d in verdict.evidence.differences if d.kind == "input"]
    named = first_few(
        (f"{d.key} ({format_value(d.a)} against {format_value(d.b)})" for d in inputs), 4
    )
    sentence = f"Inputs differ: {named}. These are two experiments, not one on two machines."
    return sentence + accuracy_in_words(verdict)


def _bit_identical(verdict: Verdict) -> str:
    compared = "weights"
    if verdict.evidence.answers is not None:
        images = counted(verdict.evidence.answers.images, "image")
        compared = f"weights and predictions on {images}"
    sentence = f"Bit-identical: the same {compared}"
    if verdict.causes:
        named = "; ".join(map(cause_in_words, verdict.causes[:2]))
        sentence += f", although the environment differs ({named})"
    if len(verdict.not_evaluated) == 2:
        sentence += "; neither run has an evaluation of them"
    elif verdict.not_evaluated:
        sentence += f"; {verdict.not_evaluated[0]} has no evaluation of them"
    if verdict.no_predictions:
        sentence += f"; predictions of {' and '.join(verdict.no_predictions)} are missing"
    answers = verdict.evidence.answers
    return f"{sentence}.{_unlearnt(answers) if answers else ''}"


def _rounding(verdict: Verdict) -> str:
    shared = ", ".join(verdict.shared[:-1])
    same = " and ".join(filter(None, (shared, *verdict.shared[-1:])))
    sentence = f"Rounding-equivalent: {f'same {same}' if same else 'the same as far as is known'}"
    sentence += f"; {divergence_in_words(verdict)}"
    if verdict.causes:
        sentence += f" ({cause_in_words(verdict.causes[0])})"
    if verdict.gradient_distance:
        sentence += f"; relative distance of the gradients there {verdict.gradient_distance:.0e}"
    return sentence + _churn(verdict) + "." + accuracy_in_words(verdict)


def _churn(verdict: Verdict) -> str:
    answers, beside = verdict.evidence.answers, verdict.evidence.perturbed_answers
    if answers is None:
        return ""
    told = f"; {answers.churn:.2%} of predictions differ"
    return told + (f", where one ULP changes {beside.churn:.2%} on {verdict.a}" if beside else "")


def _statistical(verdict: Verdict) -> str:
    seeds, answers = verdict.evidence.seeds, verdict.evidence.answers
    margin = seeds.margin if seeds else answers.margin if answers else 0.0
    claim = f"tatistically equivalent within ±{points(margin)} points"
    started = _partly(verdict)
    head = f"{started}; after it s{claim}" if started else f"S{claim}"
    return head + "." + accuracy_in_words(verdict)


def _different(verdict: Verdict) -> str:
    fault = verdict.fault
    if fault is None:
        return "Different."
    if fault.kind is Kind.ACCURACY:
        return f"Different in accuracy.{_codes(verdict)}" + accuracy_in_words(verdict)
    where = where_in_words(fault.where)
    if fault.here:
        return f"Different {replayed_in_words(fault, verdict.b)}." + accuracy_in_words(verdict)
    proof = fault_in_words(fault, verdict.a, verdict.b)
    told = f"Different {where}: {proof}.{_codes(verdict)}"
    return told + accuracy_in_words(verdict)


def _codes(verdict: Verdict) -> str:
    """The first thing to look at where the runs were made by other code."""
    prefix = "code of "
    found = [d.key for d in verdict.evidence.differences if d.key.startswith(prefix)]
    named = ", ".join(key.removeprefix(prefix) for key in found)
    return f" The runs were made by different code ({named})." if named else ""


def _undecided(verdict: Verdict) -> str:
    if verdict.fault is not None:
        doubt = "Not decided: whether both runs had the same parameters is not known. "
        return doubt + _different(verdict)
    started = _partly(verdict)
    head = f"{started}; after it not decided: " if started else "Not decided: "
    answers, seeds = verdict.evidence.answers, verdict.evidence.seeds
    if seeds is None and answers is None:
        return head + _lacking(verdict)
    margin = seeds.margin if seeds else answers.margin if answers else 0.0
    told = f"neither a difference nor equivalence within ±{points(margin)} points is shown"
    if seeds is not None and seeds.differ:
        told = f"accuracy differs; more seeds would tell whether by over {points(margin)} points"
    elif seeds is not None:
        needed = needed_of_seeds(seeds)
        told += f"; {needed}" if needed else ""
    elif answers is not None and answers.differ:
        alone = "alone drove" if verdict.replayed else "alone may drive"
        told = (
            f"these two runs differ in accuracy, and rounding {alone} them apart; whether the "
            "machines differ takes several seeds on each"
        )
    elif answers is not None:
        needed = needed_of_one_pair(answers)
        told += f"; {needed}" if needed else ""
    return head + told + "." + accuracy_in_words(verdict)


def _partly(verdict: Verdict) -> str:
    """How far rounding alone was shown, where the verdict says less of the whole; or nothing."""
    if not verdict.rounding_until:
        return ""
    if verdict.rounding_until == verdict.steps:
        parts = " and ".join(part.value for part in verdict.uncovered)
        return f"Rounding-equivalent in all {verdict.steps} steps, but not shown of {parts}"
    divergence = verdict.divergence
    where = f" ({divergence_in_words(verdict)})" if divergence else ""
    return f"Rounding-equivalent up to step {verdict.rounding_until}{where}"


_RUNGS: dict[Rung, Callable[[Verdict], str]] = {
    Rung.INPUTS_DIFFER: _inputs_differ,
    Rung.DIFFERENT: _different,
    Rung.UNDECIDED: _undecided,
    Rung.STATISTICAL: _statistical,
    Rung.ROUNDING: _rounding,
    Rung.BIT_IDENTICAL: _bit_identical,
}


def divergence_in_words(verdict: Verdict) -> str:
    """The first step and place whose bits differ, as it stands in a sentence."""
    where = verdict.divergence
    if where is None:
        return "the first divergence is not known without a trace"
    if where.part == "evaluation":
        gap = verdict.probability_gap
        if gap is None:
            return "the weights are bit-identical"
        told = f"differ by {gap:.0e}" if gap > 0 else "are the same in the four digits kept"
        return f"the weights are bit-identical, and probabilities {told}"
    if where.part == "later":
        later = "the runs diverge later" if where.name else "they may diverge later"
        last = (where.first or 1) - 1
        if last == verdict.steps and not where.name:
            return f"all compared steps agree to the bit, up to the last, step {last}"
        return f"all compared steps agree to the bit, the last is step {last}; {later}"
    return f"first divergence {where_in_words(where)}"


def accuracy_in_words(verdict: Verdict) -> str:
    """The difference in accuracy as a sentence, over the seeds where there are any, or nothing."""
    answers, seeds = verdict.evidence.answers, verdict.evidence.seeds
    if seeds is not None:
        return _seeds(seeds, verdict.rung)
    if answers is None:
        return ""
    pair = f" of {verdict.a} and {verdict.b}" if verdict.pairs > 1 else ""
    return (
        f" Accuracy{pair}, second run minus first: {points(answers.difference, sign=True)} points "
        f"(95 % interval {points(answers.low, sign=True)} to {points(answers.high, sign=True)}, "
        f"margin {points(answers.margin)}, n = {answers.images:,}).{_unlearnt(answers)}"
    )


def _unlearnt(answers: Paired) -> str:
    """A warning where equal accuracy is that of two models that know nothing."""
    if not answers.one_answer:
        return ""
    return " Each of them gives a single answer to all images, so neither has learnt anything."


def side_in_words(rung: Rung) -> str:
    """What several seeds are of, for a sentence: two machines, or two experiments."""
    return "of each" if rung is Rung.INPUTS_DIFFER else "on each machine"


def _seeds(seeds: Seeds, rung: Rung) -> str:
    return (
        f" Accuracy over {seeds.seeds} seeds {side_in_words(rung)}, second minus first: "
        f"{points(seeds.difference, sign=True)} points (95 % interval "
        f"{points(seeds.low, sign=True)} to {points(seeds.high, sign=True)}, margin "
        f"{points(seeds.margin)})."
    )


def _lacking(verdict: Verdict) -> str:
    named = ". ".join(lacking_in_words(verdict.missing))
    return f"there is too little to go by. {named or 'The runs share no test image'}."
