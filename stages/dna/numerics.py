"""The measured DNA: every probe's bits, error and repeatability on this machine.

A probe runs ten times. Its bits become a short hash, its first output is held against the float64
reference, and the ten are held against one another: the determinism audit. The digest sums up the
bits of all probes that repeat themselves.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.core.device import autocast, memory_advice
from stages.dna.probe import Probe
from stages.dna.probes import IN_RUN_PRECISION, OF_METAL, SUITE
from stages.dna.references import references, sample

REPEATS = 10
MEMORY_ADVICE = "The probes need little: close what else uses it."


@dataclass(frozen=True)
class Reading:
    """What one probe gave. `bits` is None where it varied or would not run (`refusal` says why).

    `max_error` is the largest error relative to the largest magnitude of the reference;
    `mean_ulp` the mean error in units in the last place of the result's type. Both None where
    there is no reference.
    """

    bits: str | None
    varies: bool = False
    refusal: str | None = None
    max_error: float | None = None
    mean_ulp: float | None = None


Readings = dict[str, Reading]


def measure_numerics(device: torch.device, precision: str) -> dict[str, Any]:
    """All that `metrics/numerics.json` holds: digests, audit, and the readings by probe.

    `digest` covers the suite in float32 and is the machine's; `run_digest` covers the probes in
    the precision of the run and is None for fp32.
    """
    with _one_choice_of_algorithms():
        suite = measure_suite(device)
        reduced = measure_in_precision(device, precision)
        audited = audit(device, suite)
    return {
        "digest": digest(suite, device),
        "run_digest": digest(reduced, device) if reduced else None,
        **audited,
        **as_fields(suite | reduced),
    }


@contextmanager
def _one_choice_of_algorithms() -> Iterator[None]:
    """Without cuDNN's benchmark, which picks by stopwatch: digests would change with the load."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def measure_suite(device: torch.device) -> Readings:
    """Every probe in float32, with PyTorch's settings as they stand."""
    suite = SUITE | OF_METAL if device.type == "mps" else SUITE
    return {name: _measure(probe, device, "fp32") for name, probe in suite.items()}


def measure_in_precision(device: torch.device, precision: str) -> Readings:
    """The probes that tell most, in a reduced precision; none for fp32, which the suite covers."""
    if precision == "fp32":
        return {}
    names = IN_RUN_PRECISION
    return {f"{name}_{precision}": _measure(SUITE[name], device, precision) for name in names}


def audit(device: torch.device, readings: Readings) -> dict[str, list[str]]:
    """Which operations are not repeatable here without, and with, deterministic algorithms.

    On the CPU one pass answers both. Elsewhere the suite runs again under the other setting;
    PyTorch's setting is put back.
    """
    mode = torch.get_deterministic_debug_mode()
    other = readings
    if device.type != "cpu":
        torch.set_deterministic_debug_mode("default" if mode else "error")
        try:
            other = measure_suite(device)
        finally:
            torch.set_deterministic_debug_mode(mode)
    free, strict = (other, readings) if mode else (readings, other)
    varying = sorted(name for name, reading in free.items() if reading.varies)
    mended = [name for name in varying if strict[name].bits is not None]
    return {"not_repeatable": varying, "mended_by_deterministic": mended}


def digest(readings: Readings, device: torch.device) -> str:
    """Sixteen hex digits over the bits of the probes that must repeat themselves here."""
    required = (
        torch.are_deterministic_algorithms_enabled()
        and not torch.is_deterministic_algorithms_warn_only_enabled()
    )
    strict = device.type == "cpu" or required
    counted = (
        f"{name}={reading.bits}"
        for name, reading in sorted(readings.items())
        if strict or not adds_atomically(name)
    )
    return hashlib.sha256("\n".join(counted).encode()).hexdigest()[:16]


def adds_atomically(name: str) -> bool:
    """Whether a probe, also in a reduced precision, may vary without deterministic algorithms."""
    probe = SUITE.get(re.sub(r"_(bf16|fp16)$", "", name))
    return probe is not None and probe.adds_atomically


def as_fields(readings: Readings) -> dict[str, Any]:
    """Readings by probe, each with the fields that say something."""
    return {
        "repeats": REPEATS,
        "readings": {
            name: {
                field: value
                for field, value in asdict(reading).items()
                if value is not None and value is not False
            }
            for name, reading in readings.items()
        },
    }


def _measure(probe: Probe, device: torch.device, precision: str) -> Reading:
    inputs = [tensor.to(device) for tensor in probe.inputs()]
    context: AbstractContextManager[Any] = (
        nullcontext() if precision == "fp32" else autocast(device, precision)
    )
    try:
        with context, memory_advice(device, MEMORY_ADVICE):
            first = probe.compute(*inputs)
            hashes = {_bits(first), *(_bits(probe.compute(*inputs)) for _ in range(REPEATS - 1))}
    except (RuntimeError, NotImplementedError, TypeError) as error:
        # An operation that this backend lacks, or that has no deterministic form.
        return Reading(None, refusal=str(error).partition("\n")[0][:120])
    if len(hashes) > 1:
        return Reading(None, varies=True)
    if not first.isfinite().all():
        return Reading(hashes.pop(), refusal="gives numbers that are not finite")
    if not probe.has_reference:
        return Reading(hashes.pop())
    return Reading(hashes.pop(), False, None, *_errors(first, references()[probe.name]))


def _bits(output: Tensor) -> str:
    plain = output.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(plain.numpy().data).hexdigest()[:8]


def _errors(
    output: Tensor, reference: np.ndarray[Any, np.dtype[np.float64]]
) -> tuple[float, float]:
    """(largest error over largest magnitude, mean error in ULP), to three digits.

    Near zero a ULP says nothing, so its size is that of a thousandth of the largest magnitude
    at least.
    """
    error = np.abs(sample(output) - reference)
    largest = float(np.abs(reference).max())
    info = torch.finfo(output.dtype)
    magnitude = np.maximum(np.abs(reference), largest * 2.0**-10)
    ulp = np.exp2(np.floor(np.log2(magnitude))) * info.eps
    return _three_digits(float(error.max()) / largest), _three_digits(float((error / ulp).mean()))


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
