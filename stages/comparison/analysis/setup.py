"""What differs between two runs before any result: parameters, data, code, machine.

Differences come in three kinds: an *input* makes it another experiment; a *computation* is the same
experiment computed in another way, which may change bits; a *neutral* one changes neither.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stages.core.dotted import flatten
from stages.core.params import Params
from stages.dna.declared import DECIDES_BITS
from stages.dna.switches import EFFECT_IS_READ, USUAL
from stages.runs.code import code_key
from stages.runs.run import Run

Kind = Literal["input", "computation", "neutral"]

COMPUTATION = (
    "device", "threads", "train.precision", "train.memory_format", "train.deterministic",
    "train.fast_kernels", "train.compile", "train.devices", "evaluate.batch_size",
)  # fmt: skip
"""Parameters that say how to compute, not what."""

NEUTRAL = (
    "profile.", "dataset.folder", "dataset.on_corrupt", "train.trace_steps", "train.snapshots",
    "train.checkpoint_steps", "train.on_nonfinite", "train.perturb_one_ulp",
    "train.twin",
)  # fmt: skip
"""Parameters that decide no bit by themselves; a perturbed run is known as one (`train.twin` in
runs made before 0.2). What the folder holds is compared by the images' digests."""

IDENTIFIERS = ("id", "declared_id", "numeric_id", "run_id", "seed")
ASKED = ("parameters", "data", "code", "machine")
"""What two runs are held side by side in."""
DNA = "machine (hardware DNA)"
"""The key under which two machines differ whose ids do, whatever else is known of them."""


@dataclass(frozen=True)
class Difference:
    """One key with its two values, None where a run does not say."""

    key: str
    a: Any
    b: Any
    kind: Kind


def setup_differences(a: Run, b: Run) -> list[Difference]:
    """All differences in set-up, inputs first."""
    found = [*_params(a, b), *_data(a, b), *_code(a, b), *_machine(a, b)]
    order = ("input", "computation", "neutral")
    return sorted(found, key=lambda difference: order.index(difference.kind))


def effective_precision(run: Run) -> str:
    """The coarsest arithmetic in use: fp32, tf32, bf16 or fp16.

    A run that fell back to fp32 is fp32; TF32 counts where CUDA is the backend and allows it.
    """
    precision = run.train.get("precision") or run.hardware.get("precision") or "fp32"
    if precision != "fp32":
        return str(precision)
    hardware = run.hardware
    keys = ["float32_matmul_precision", "onednn_matmul_fp32", "onednn_convolution_fp32"]
    if hardware.get("backend") == "cuda":
        keys += ["cuda_matmul_fp32", "cudnn_convolution_fp32"]
    reduced = {str(hardware.get(key)) for key in keys}
    if reduced & {"medium", "bf16"}:
        return "bf16"
    return "tf32" if reduced & {"high", "tf32"} else "fp32"


def same_machine(a: Run, b: Run) -> bool:
    """Whether both the declared and the measured DNA are known and equal."""
    one, other = _ids(a), _ids(b)
    return all(one) and one == other


def _ids(run: Run) -> tuple[Any, Any]:
    """The declared and the measured half of the DNA, None where a run does not tell."""
    return run.hardware.get("declared_id"), run.hardware.get("numeric_id")


def unknown_in(a: Run, b: Run) -> list[str]:
    """What of `ASKED` the runs do not tell whether it is the same."""
    told = (
        a.params and b.params,
        same_images(a, b) is not None,
        a.code and b.code,
        all(_ids(a)) and all(_ids(b)),
    )
    return [name for name, known in zip(ASKED, told, strict=True) if not known]


def _params(a: Run, b: Run) -> Iterator[Difference]:
    """Where a run has no parameters, what the trainings tell: what is not known is no difference,
    nor is the subset where one run lacks it.

    A key that one run is too old to have is neutral where the other has its default.
    """
    if not (a.params and b.params):
        for key, one, other in _unequal(a.train, b.train):
            if key in ("model", "task", "epochs") and one and other:
                yield Difference(key, one, other, "input")
        seeds = a.hardware.get("seed"), b.hardware.get("seed")
        if None not in seeds and seeds[0] != seeds[1]:
            yield Difference("seed", *seeds, "input")
        return
    ours, theirs = flatten(_common(a.params, b.params)), flatten(_common(b.params, a.params))
    defaults = flatten(Params().model_dump(mode="json"))
    for key, one, other in _unequal(ours, theirs):
        kind: Kind = "input"
        if key.startswith(NEUTRAL) or _is_newer(key, ours, theirs, defaults):
            kind = "neutral"
        elif key in COMPUTATION:
            kind = "computation"
        yield Difference(key, one, other, kind)


def _common(params: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters, of the subset only where the others tell theirs."""
    return {name: value for name, value in params.items() if name in others or name != "subset"}


def _is_newer(key: str, *values: Mapping[str, Any]) -> bool:
    """Whether one of two runs lacks the key, and the other has the default (given last)."""
    ours, theirs, defaults = values
    told = [run[key] for run in (ours, theirs) if key in run]
    return len(told) == 1 and key in defaults and told[0] == defaults[key]


def same_images(a: Run, b: Run) -> bool | None:
    """Whether both used the same images; None where they keep no hash of one kind."""
    pairs = [pair for pair in _image_hashes(a, b) if all(pair)]
    return all(one == other for one, other in pairs) if pairs else None


def _image_hashes(a: Run, b: Run) -> list[tuple[str | None, str | None]]:
    """Of the list of images, which cells of studies lack, and of what the images contain."""
    digests = [run.train.get("digests_sha256") for run in (a, b)]
    return [(a.indices_sha256, b.indices_sha256), (digests[0], digests[1])]


def _data(a: Run, b: Run) -> Iterator[Difference]:
    for one, other in _image_hashes(a, b):
        if one and other and one != other:
            yield Difference("images (hash of the subset)", one[:12], other[:12], "input")
            break
    one, other = (run.train.get("initial_weights_hash") for run in (a, b))
    if one and other and one != other and a.is_perturbed == b.is_perturbed:
        yield Difference("initial weights (hash)", one[:12], other[:12], "input")


def same_code(a: Run, b: Run) -> bool:
    """Whether the code of what both runs have is known and the same: of training and evaluation,
    or of the former alone.
    """
    left_out = () if a.evaluate and b.evaluate else (code_key("evaluate"),)
    one, other = (
        {key: code for key, code in run.code.items() if key not in left_out} for run in (a, b)
    )
    return bool(one) and one == other


def _code(a: Run, b: Run) -> Iterator[Difference]:
    """Code is no input: whether another version computes otherwise is for the results to show."""
    for key, one, other in _unequal(a.code, b.code):
        if one and other:
            yield Difference(f"code of {key}", one, other, "computation")


def _machine(a: Run, b: Run) -> Iterator[Difference]:
    """What one run does not tell is no difference; a variable that is not set is told.

    The ids of the DNA stand for all facts, of which a study's cell may have kept a few.
    """
    ids = _ids(a), _ids(b)
    if any(one and other and one != other for one, other in zip(*ids, strict=True)):
        shown = ["-".join(str(half or "?") for half in halves) for halves in ids]
        yield Difference(DNA, shown[0], shown[1], "computation")
    ours, theirs = flatten(a.hardware), flatten(b.hardware)
    decisive = {*DECIDES_BITS, *USUAL, "deterministic"}
    if not ("torch_build" in ours and "torch_build" in theirs):
        decisive.add("torch")
    variables = "environment" in a.hardware and "environment" in b.hardware
    for key, one, other in _unequal(ours, theirs):
        known = variables if key.startswith("environment.") else key in ours and key in theirs
        if not known or key in IDENTIFIERS or key in _SAID_BY_PARAMS:
            continue
        name = key.removeprefix("environment.")
        switched = key.startswith("environment.") and name not in EFFECT_IS_READ
        yield Difference(
            name, one, other, "computation" if key in decisive or switched else "neutral"
        )


_SAID_BY_PARAMS = (
    "precision", "memory_format", "fast_kernels", "deterministic_mode", "evaluate_batch_size",
)  # fmt: skip


def _unequal(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*a, *b]):
        if a.get(key) != b.get(key):
            yield key, a.get(key), b.get(key)
