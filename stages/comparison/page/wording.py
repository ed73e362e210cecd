"""A verdict in words: one sentence or two for what was proved, the place, causes and figures.

The findings are data (`analysis/findings.py`); this is the one file that words them.
"""

from collections.abc import Callable

from stages.comparison.analysis.causes import LIBRARY_SWITCHES
from stages.comparison.analysis.findings import Cause, Fault, Kind, Rung, Verdict, Where
from stages.comparison.analysis.outcome import images_needed, seeds_needed_by_assumption
from stages.comparison.analysis.seeds import ASSUMED_SD, Seeds
from stages.comparison.analysis.setup import COMPUTATION
from stages.comparison.analysis.statistics import Paired, points
from stages.core.counts import counted


def sentence_of(verdict: Verdict) -> str:
    """The verdict as it is printed above everything else."""
    told = _RUNGS[verdict.rung](verdict)
    if verdict.pairs == 1:
        return told
    if verdict.unanimous:
        return f"{told} The same goes for all {verdict.pairs} pairs of seeds."
    return f"{told} So it is for {verdict.a} and {verdict.b}, and that pair decides."


def rung_of(verdict: Verdict) -> str:
    """The rung in a few words, with the step up to which rounding alone was shown."""
    if verdict.rounding_until and verdict.rung not in (Rung.ROUNDING, Rung.BIT_IDENTICAL):
        return f"{verdict.rung.words}, rounding up to step {verdict.rounding_until}"
    return verdict.rung.words


def _inputs_differ(verdict: Verdict) -> str:
    inputs = [d for d in verdict.evidence.differences if d.kind == "input"]
    named = ", ".join(
        f"{d.key} ({format_value(d.a)} against {format_value(d.b)})" for d in inputs[:4]
    )
    more = f" and {len(inputs) - 4} more" if len(inputs) > 4 else ""
    sentence = f"Inputs differ: {named}{more}. These are two experiments, not one on two machines."
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
        sentence += "; neither run was evaluated"
    elif verdict.not_evaluated:
        sentence += f"; {verdict.not_evaluated[0]} was not evaluated"
    return sentence + "."


def _rounding(verdict: Verdict) -> str:
    shared = ", ".join(verdict.shared[:-1])
    same = " and ".join(filter(None, (shared, *verdict.shared[-1:])))
    sentence = f"Rounding-equivalent: {f'same {same}' if same else 'the same as far as is known'}"
    sentence += f"; {divergence_in_words(verdict)}"
    alike = [d for d in verdict.evidence.differences if d.kind == "computation"]
    if verdict.causes:
        sentence += f" ({cause_in_words(verdict.causes[0])})"
    elif not alike and "initial weights but for one ULP" not in verdict.shared:
        sentence += ", although machine and settings are the same"
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
        started = _partly(verdict)
        head = f"{started}; after it different in accuracy" if started else "Different in accuracy"
        return head + "." + accuracy_in_words(verdict)
    where = where_in_words(fault.where)
    return f"Different {where}: {fault_in_words(fault, verdict)}." + accuracy_in_words(verdict)


def _undecided(verdict: Verdict) -> str:
    started = _partly(verdict)
    head = f"{started}; after it not decided: " if started else "Not decided: "
    answers, seeds = verdict.evidence.answers, verdict.evidence.seeds
    if seeds is None and answers is None:
        return head + _lacking(verdict)
    margin = seeds.margin if seeds else answers.margin if answers else 0.0
    told = f"neither a difference nor equivalence within ±{points(margin)} points is shown"
    if seeds is not None:
        more = f"; equivalence takes about {seeds.needed:,} seeds per machine"
        told += more if seeds.needed else ""
    elif answers is not None:
        told += f"; {_needed(answers)}"
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
        return f"all compared steps agree to the bit, the last is step {last}; {later}"
    return f"first divergence {where_in_words(where)}"


_PARTS = {
    "": "",
    "input": "in the images that enter the model",
    "target": "in the labels",
    "loss": "in the loss",
    "steps": "in the training loop, in the number of steps",
    "rates": "in the schedule of the learning rate",
    "weights": "in the weights",
    "forward": "in the forward pass",
    "backward": "in the backward pass",
    "later": "after the recorded steps, or in the evaluation",
    "accuracy": "in accuracy",
}
_EVALUATION = {
    "images": "in the test images",
    "labels": "in the labels of the test images",
    "validation": "in the evaluation or in the running statistics of norms",
    "kept weights": "in the evaluation or in the kept weights",
}


def where_in_words(where: Where) -> str:
    """A place as it stands in a sentence."""
    words = _place(where)
    if where.dtypes:
        words += f" ({where.dtypes[0]} against {where.dtypes[1]})"
    if where.part != "update" or not where.name:
        shown = ", ".join(f"`{name}`" for name in where.tensors[:3])
        if 0 < len(where.tensors) < where.of:
            more = len(where.tensors) - 3
            words += f" of {shown}" + (f" and {more} more" if more > 0 else "")
    steps = _steps(where)
    return f"{words}, {steps}" if words and steps else words or steps


def _place(where: Where) -> str:
    name = f"`{where.name}`"
    if where.part == "evaluation":
        return _EVALUATION.get(where.name, "in the evaluation")
    if where.part == "data":
        return f"in the {where.name}"
    if where.part == "module":
        return f"in the forward pass of {name}"
    if where.part == "gradient":
        return "in the backward pass" + (f", at the gradient of {name}" if where.name else "")
    if where.part == "update":
        return "in the optimiser step" + (f", at the update of {name}" if where.name else "")
    return _PARTS[where.part]


def _steps(where: Where) -> str:
    if where.part == "later":
        return ""
    if where.first is None or where.last is None:
        return f"from epoch {where.epoch}" if where.epoch and where.part == "data" else ""
    if where.first == where.last:
        return f"at step {where.first}"
    return f"between steps {where.first} and {where.last}"


_LOOK_AT = {
    "input": "choice, order, augmentation, resizing and normalisation of the images",
    "target": "how labels are read, mixed and ordered",
    "update": "the optimiser's settings, its groups and the schedule",
}


def fault_in_words(fault: Fault, verdict: Verdict) -> str:
    """What shows that the runs differ, without the place."""
    value, limit, a, b = fault.value or 0.0, fault.limit or 0.0, verdict.a, verdict.b
    words: dict[Kind, Callable[[], str]] = {
        Kind.STEP_COUNT: lambda: f"steps per epoch: {fault.a:g} for {a}, {fault.b:g} for {b}",
        Kind.DATA: lambda: "their hashes differ, and no rounding enters them",
        Kind.RATE: lambda: (
            f"learning rate {fault.a:g} against {fault.b:g} in epoch {fault.where.epoch}"
        ),
        Kind.CLIPPING: lambda: (
            f"a gradient norm of {value:.4g} in {fault.b}, although `train.grad_clip` is {limit:g}"
        ),
        Kind.TYPE: lambda: (
            "its numbers are of another type, although both runs computed on the same backend"
        ),
        Kind.DISTANCE: lambda: (
            f"relative distance {value:.1e}, where rounding stays below {limit:.1e}"
            + (f"; look at {_LOOK_AT[fault.where.part]}" if fault.where.part in _LOOK_AT else "")
        ),
        Kind.JUMP: lambda: (
            f"relative distance of loss and gradient norm {value:.1e} at once, where rounding "
            f"stays below {limit:.0e}"
        ),
        Kind.STANDSTILL: lambda: "one run moves these weights, the other does not",
        Kind.WEIGHTS: lambda: (
            f"their relative distance grows by {value:.1e} there, while {a}'s own move by "
            f"{limit:.1e} of their norm"
        ),
        Kind.TEST_LABELS: lambda: f"{value:.0f} of them are not the same",
        Kind.TEST_IMAGES: lambda: f"not the same ones: {fault.a} for {a}, {fault.b} for {b}",
        Kind.PROBABILITIES: lambda: _probabilities(fault),
        Kind.VALIDATION: lambda: (
            "training agrees to the bit, but the validation loss differs from epoch "
            f"{fault.where.epoch} on"
        ),
        Kind.ANSWERS: lambda: _answers(fault, verdict),
        Kind.ACCURACY: lambda: "the accuracies differ",
    }
    return words[fault.kind]()


def _probabilities(fault: Fault) -> str:
    if fault.where.name == "same weights":
        return f"the weights are bit-identical, but probabilities differ by {fault.value:.2g}"
    return (
        f"confidences differ by {fault.value:.1e} on average, where the distance of the trained "
        f"weights explains {fault.limit:.1e}"
    )


def _answers(fault: Fault, verdict: Verdict) -> str:
    told = {
        "McNemar": f"McNemar p {fault.value:.1g}",
        "churn": f"{fault.value:.2%} of answers differ, where one ULP changes {fault.limit:.2%}",
        None: "the whole interval lies beyond the margin",
    }[fault.a]
    if verdict.evidence.seeds is not None:
        told = "the interval over the seeds lies beyond the margin"
    return (
        f"the first steps agree but for rounding, yet the answers are not those of equal models "
        f"({told})"
    )


def accuracy_in_words(verdict: Verdict) -> str:
    """The difference in accuracy as a sentence, over the seeds where there are any, or nothing."""
    answers, seeds = verdict.evidence.answers, verdict.evidence.seeds
    if seeds is not None:
        return _seeds(seeds)
    if answers is None:
        return ""
    return (
        f" Accuracy, second run minus first: {points(answers.difference, sign=True)} points "
        f"(95 % interval {points(answers.low, sign=True)} to {points(answers.high, sign=True)}, "
        f"margin {points(answers.margin)}, n = {answers.images:,})."
    )


def _seeds(seeds: Seeds) -> str:
    return (
        f" Accuracy over {seeds.seeds} seeds on each machine, second minus first: "
        f"{points(seeds.difference, sign=True)} points (95 % interval "
        f"{points(seeds.low, sign=True)} to {points(seeds.high, sign=True)}, margin "
        f"{points(seeds.margin)})."
    )


def _lacking(verdict: Verdict) -> str:
    named = "; ".join(f"{name} lacks {', '.join(files)}" for name, files in verdict.missing.items())
    return f"there is too little to go by. {named or 'The runs share no test image'}."


def _needed(answers: Paired) -> str:
    """What it takes to show equivalence, if there is no difference."""
    told = f"that takes about {images_needed(answers):,} test images, or several seeds on each"
    told += " machine"
    if seeds := seeds_needed_by_assumption(answers.margin):
        told += f": {seeds:,} if accuracy spreads over seeds by {points(ASSUMED_SD)} points, which "
        told += "is assumed"
    return told


_SETTINGS = {
    "backend": "backend",
    "accelerator": "accelerator",
    "chip": "chip",
    "cpu_capability": "instruction set of PyTorch's own CPU code",
    "threads": "threads that share a sum",
    "torch_build": "PyTorch",
    "onednn": "oneDNN",
    "mkl": "MKL",
    "cudnn": "cuDNN",
    "libc": "C library (exp, log and their kin)",
    "onednn_enabled": "oneDNN in use",
    "float32_matmul_precision": "precision of float32 matrix products",
    "deterministic": "deterministic algorithms",
    "precision": "precision",
    "ONEDNN_MAX_CPU_ISA": "instruction set of oneDNN",
    "DNNL_MAX_CPU_ISA": "instruction set of oneDNN",
    "MKL_CBWR": "code path of MKL",
    "MKL_ENABLE_INSTRUCTIONS": "instruction set of MKL",
    "NVIDIA_TF32_OVERRIDE": "TF32",
}

MEANINGS = {
    "reduced precision": "kernels in reduced precision",
    "convolutions": "convolution kernels (their blocking decides the order of accumulation)",
    "matrix products": "matrix products (blocking and order of accumulation in BLAS)",
    "attention": "the attention kernel",
    "softmax and losses": "another exp inside softmax",
    "norms": "accumulation inside norms",
    "sums over long vectors": "the order in which long sums are added, which threads share",
    "order among ties": "order among equal values",
    "sums into shared places": "the order of additions into shared places (atomics)",
    "resizing": "interpolation weights",
    "random generators": "PyTorch's own random draws (this pipeline uses none of them)",
    "functions of one number": "variants of exp, erf and their kin, or fused multiply-add",
}
"""What a kind of probes points to."""


def cause_in_words(cause: Cause) -> str:
    """A likely cause of other bits."""
    if cause.probes:
        more = ", …" if len(cause.probes) > 4 else ""
        return (
            f"{MEANINGS[cause.code]}: {len(cause.probes)} of the probes differ "
            f"({', '.join(cause.probes[:4])}{more})"
        )
    name = _SETTINGS.get(cause.code, f"`{cause.code}`" if cause.code in COMPUTATION else cause.code)
    if cause.code in LIBRARY_SWITCHES:
        name += f" ({cause.code})"
    return f"{name}: {format_value(cause.a)} against {format_value(cause.b)}"


def format_value(value: object) -> str:
    """A setting as it stands in a sentence."""
    return "not set" if value is None else str(value)
