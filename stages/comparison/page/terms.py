"""Places, proofs, causes and what is lacking in words, as they stand in a verdict's sentence."""

from collections.abc import Callable, Mapping, Sequence

from stages.comparison.analysis.causes import LIBRARY_SWITCHES
from stages.comparison.analysis.findings import Cause, Fault, Kind, Where
from stages.comparison.analysis.setup import COMPUTATION

_PARTS = {
    "": "",
    "input": "in the images that enter the model",
    "target": "in the labels",
    "loss": "in the loss",
    "steps": "in the training loop, in the number of steps",
    "rates": "in the schedule of the learning rate",
    "weights": "in the weights",
    "average": "in the moving average of the weights",
    "kept": "in the kept weights",
    "state": "in the running statistics or the optimiser's state",
    "optimizer": "in the settings of the optimiser",
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
    if where.name and where.part in ("data", "kept"):
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


HERE = "this machine"


def fault_in_words(fault: Fault, a: str, b: str) -> str:
    """What shows that runs `a` and `b` differ, without the place."""
    value, limit = fault.value or 0.0, fault.limit or 0.0
    words: dict[Kind, Callable[[], str]] = {
        Kind.STEP_COUNT: lambda: f"steps per epoch: {fault.a:g} for {a}, {fault.b:g} for {b}",
        Kind.DATA: lambda: (
            "their hashes are not the same, and they are whole numbers on any machine"
        ),
        Kind.RATE: lambda: _rate(fault),
        Kind.KEPT: lambda: (
            f"their relative distance is {value:.1e}, where that of the trained weights explains "
            f"{limit:.1e}"
        ),
        Kind.CLIPPING: lambda: (
            f"a gradient norm of {value:.4g} in {fault.run}, although `train.grad_clip` is "
            f"{limit:g}"
        ),
        Kind.TYPE: lambda: (
            "its numbers are of another type, although both runs computed on the same backend"
        ),
        Kind.DISTANCE: lambda: (
            f"relative distance {value:.1e}, where machines stay below {limit:.1e}{_look_at(fault)}"
        ),
        Kind.JUMP: lambda: (
            f"relative distance of loss and gradient norm {value:.1e} at once, where machines stay "
            f"below {limit:.0e}"
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
        **dict.fromkeys((Kind.MCNEMAR, Kind.CHURN, Kind.SEEDS), lambda: _answers(fault)),
        Kind.ACCURACY: lambda: "the accuracies differ",
        Kind.OPTIMIZER: lambda: f"{fault.where.name} is {fault.a} for {a}, {fault.b} for {b}",
        Kind.SAME_MACHINE: lambda: _OTHER_BITS,
        Kind.REPLAYED: lambda: (
            f"relative distance {value:.1e} from what {a} computes, where rounding explains "
            f"{limit:.1e}"
        ),
    }
    return words[fault.kind]()


_OTHER_BITS = (
    "other bits, although machine, settings and code are the same, which leaves nothing for "
    "rounding to explain; look for edits outside of stages/, faulty memory, or a kernel that does "
    "not repeat (`python -m stages.dna`)"
)


def replayed_in_words(fault: Fault, name: str) -> str:
    """A fault of the run `name` that a replay found, with its place and how it was found."""
    told = f"{where_in_words(fault.where)}: {fault_in_words(fault, HERE, name)}"
    return f"{told} ({origin_in_words(fault, name)})"


def origin_in_words(fault: Fault, name: str) -> str:
    """What a replay began at."""
    if fault.state is None:
        return f"{name}'s kept weights, evaluated here"
    return f"computed again here from {name}'s own state after step {fault.state}"


def _rate(fault: Fault) -> str:
    what = "decay of the average" if fault.where.part == "average" else "learning rate"
    when = f" in epoch {fault.where.epoch}" if fault.where.epoch else ""
    return f"{what} {fault.a:g} against {fault.b:g}{when}".replace(" nan", " none")


def _probabilities(fault: Fault) -> str:
    if fault.where.name == "same weights":
        return f"the weights are bit-identical, but probabilities differ by {fault.value:.2g}"
    return (
        f"confidences differ by {fault.value:.1e} on average, where the distance of the trained "
        f"weights explains {fault.limit:.1e}"
    )


def _look_at(fault: Fault) -> str:
    part = fault.where.part
    return f"; look at {_LOOK_AT[part]}" if part in _LOOK_AT else ""


def _answers(fault: Fault) -> str:
    told = "the interval over the seeds lies beyond the margin"
    if fault.kind is Kind.MCNEMAR:
        told = f"p {fault.value:.1g}, McNemar's test and the spread that is assumed over runs"
    elif fault.kind is Kind.CHURN:
        told = f"{fault.value:.2%} of answers differ, where one ULP changes {fault.limit:.2%}"
    return (
        "the first steps agree but for rounding, yet the answers are not those of equal models "
        f"({told})"
    )


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


def lacking_in_words(missing: Mapping[str, Sequence[str]]) -> list[str]:
    """What each of the runs lacks, and what both do; sentences without their stop."""
    every = list(missing.values())
    both = [file for file in every[0] if file in every[1]] if len(every) == 2 else []
    own = {name: [one for one in files if one not in both] for name, files in missing.items()}
    told = [f"{name} lacks {', '.join(files)}" for name, files in own.items() if files]
    return [*told, *([f"Neither run has {', '.join(both)}"] if both else [])]
