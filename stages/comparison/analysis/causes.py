"""The numeric DNA of two machines, operation by operation, and which
settings can change bits. What they mean in words is in `page/wording.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stages.comparison.analysis.findings import Cause
from stages.comparison.analysis.setup import COMPUTATION, effective_precision
from stages.core.dotted import flatten
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


def explain(a: Run, b: Run, numerics: Numerics | None) -> tuple[Cause, ...]:
    """Likely causes of differing bits, the most telling first; what is said is what was read."""
    return (*from_settings(a, b), *(_from_probes(numerics) if numerics else ()))


def from_settings(a: Run, b: Run) -> tuple[Cause, ...]:
    """Causes that the declared DNA names, with both values; what one run is silent on is none."""
    causes = []
    precisions = effective_precision(a), effective_precision(b)
    if precisions[0] != precisions[1]:
        causes.append(Cause("precision", *precisions))
    for key in DECLARED:
        if key in a.hardware and key in b.hardware and a.hardware[key] != b.hardware[key]:
            causes.append(Cause(key, a.hardware[key], b.hardware[key]))
    one, other = (run.hardware.get("environment") for run in (a, b))
    if one is not None and other is not None:
        causes += [
            Cause(name, one.get(name), other.get(name))
            for name in sorted({*one, *other} & set(LIBRARY_SWITCHES))
            if one.get(name) != other.get(name)
        ]
    ours, theirs = flatten(a.params), flatten(b.params)
    told = {"device", "threads", "train.precision"}  # the declared DNA has what came of them
    causes += [
        Cause(key, ours[key], theirs[key])
        for key in COMPUTATION
        if key in ours and key in theirs and ours[key] != theirs[key] and key not in told
    ]
    return tuple(causes)


DECLARED = (
    "backend", "accelerator", "chip", "cpu_capability", "threads", "torch_build", "onednn", "mkl",
    "cudnn", "libc", "onednn_enabled", "float32_matmul_precision", "deterministic",
)  # fmt: skip
LIBRARY_SWITCHES = (
    "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip


def _from_probes(numerics: Numerics) -> list[Cause]:
    """A cause per group of changed probes; composites say nothing by themselves."""
    return [
        Cause(group, probes=tuple(names))
        for group, names in numerics.changed.items()
        if group not in COMPOSITES
    ]


COMPOSITES = ("optimiser steps", "others")
