"""The numeric DNA of two machines, operation by operation, and what the pattern means in words.

Leaves the reading of the runs' own bits to `parting` and `inside`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stages.comparison.analysis.setup import effective_precision
from stages.runs.run import Run

GROUPS = (
    ("reduced precision", ("_bf16", "_fp16")),
    ("convolutions", ("conv", "depthwise", "grouped")),
    ("matrix products", ("mm", "addmm", "bmm", "mv", "dot", "einsum", "linear")),
    ("attention", ("attention",)),
    ("softmax and losses", ("softmax", "log_softmax", "cross_entropy", "logsumexp")),
    ("norms", ("layer_norm", "batch_norm", "group_norm")),
    ("sums over long vectors", ("sum_", "mean_", "var", "norm_long", "prod", "cumsum",
                                "logcumsumexp", "average_pool", "global_pool")),
    ("order among ties", ("sort_", "topk_", "argmax_", "max_pool_ties")),
    ("sums into shared places", ("index_", "scatter_", "embedding_", "bincount",
                                 "max_pool_grad")),
    ("resizing", ("bilinear", "bicubic", "grid_sample")),
    ("random generators", ("rand", "bernoulli", "exponential", "multinomial", "trunc_normal",
                           "kaiming_uniform", "dropout")),
    ("optimiser steps", ("three_steps",)),
    ("functions of one number", ("exp", "log", "expm1", "tanh", "sigmoid", "erf", "sin", "rsqrt",
                                 "pow", "gelu", "silu", "softplus", "addcmul", "addcdiv", "lerp")),
)  # fmt: skip
"""Kinds of probes and how their names begin (or, for the first, end). The first match counts."""


@dataclass(frozen=True)
class Numerics:
    """How the probes of two machines compare.

    `changed` names the probes with other bits by group, `compared` counts those that both ran.
    `worst` is the largest error known of any changed probe on either machine, with its name.
    """

    compared: int
    changed: dict[str, list[str]]
    worst: tuple[str, float] | None
    not_repeatable: dict[str, list[str]]

    @property
    def count(self) -> int:
        """How many probes have other bits."""
        return sum(map(len, self.changed.values()))


def compare_numerics(a: Run, b: Run) -> Numerics | None:
    """Hold the probes side by side; None when either run has none."""
    ours, theirs = (run.numerics.get("readings") for run in (a, b))
    if not ours or not theirs:
        return None
    both = [name for name in ours if name in theirs]
    changed = [name for name in both if ours[name].get("bits") != theirs[name].get("bits")]
    errors = {
        name: error
        for name in changed
        if (error := _largest_error(ours[name], theirs[name])) is not None
    }
    worst = max(errors, key=lambda name: errors[name], default=None)
    varying = {run.name: run.numerics.get("not_repeatable", []) for run in (a, b)}
    return Numerics(
        compared=len(both),
        changed=_grouped(changed),
        worst=(worst, errors[worst]) if worst else None,
        not_repeatable={name: probes for name, probes in varying.items() if probes},
    )


def _largest_error(*readings: Mapping[str, Any]) -> float | None:
    errors = (reading.get("max_error") for reading in readings)
    return max((error for error in errors if isinstance(error, float)), default=None)


def group_of(probe: str) -> str:
    """The kind of operation that a probe stands for."""
    for title, marks in GROUPS:
        if probe.startswith(marks) or (title == "reduced precision" and probe.endswith(marks)):
            return title
    return "others"


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(group_of(name), []).append(name)
    return groups


def explain(a: Run, b: Run, numerics: Numerics | None) -> list[str]:
    """Likely causes of differing bits, the most telling first; what is said is what was read."""
    return [*from_settings(a, b), *(_from_probes(numerics) if numerics else [])]


def from_settings(a: Run, b: Run) -> list[str]:
    """Causes that the declared DNA names, with both values; what one run is silent on is none."""
    causes = []
    precisions = effective_precision(a), effective_precision(b)
    if precisions[0] != precisions[1]:
        causes.append(f"precision: {precisions[0]} against {precisions[1]}")
    for key, words in _WORDS.items():
        if key in a.hardware and key in b.hardware and a.hardware[key] != b.hardware[key]:
            pair = f"{format_value(a.hardware[key])} against {format_value(b.hardware[key])}"
            causes.append(f"{words}: {pair}")
    one, other = (run.hardware.get("environment") for run in (a, b))
    if one is None or other is None:
        return causes
    for name in sorted({*one, *other} & _LIBRARY_SWITCHES.keys()):
        if one.get(name) != other.get(name):
            pair = f"{format_value(one.get(name))} against {format_value(other.get(name))}"
            causes.append(f"{_LIBRARY_SWITCHES[name]} ({name}): {pair}")
    return causes


_WORDS = {
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
}
_LIBRARY_SWITCHES = {
    "ONEDNN_MAX_CPU_ISA": "instruction set of oneDNN",
    "DNNL_MAX_CPU_ISA": "instruction set of oneDNN",
    "MKL_CBWR": "code path of MKL",
    "MKL_ENABLE_INSTRUCTIONS": "instruction set of MKL",
    "NVIDIA_TF32_OVERRIDE": "TF32",
}


def format_value(value: object) -> str:
    """A setting as it stands in a sentence."""
    return "not set" if value is None else str(value)


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


def _from_probes(numerics: Numerics) -> list[str]:
    """What each group of changed probes points to; composites say nothing by themselves."""
    return [
        f"{MEANINGS[group]}: {len(names)} of the probes differ ({', '.join(names[:4])}"
        + (", …)" if len(names) > 4 else ")")
        for group, names in numerics.changed.items()
        if group in MEANINGS
    ]
