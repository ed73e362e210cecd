"""The probes: the same bits every time, errors that make sense, and the determinism audit."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from stages.core.errors import DeviceError
from stages.dna import numerics
from stages.dna.numerics import Reading, audit, digest, measure_in_precision, measure_suite
from stages.dna.probe import Probe, dyadic
from stages.dna.probes import IN_RUN_PRECISION, OF_METAL, SUITE
from stages.dna.references import compute_reference, references

CPU = torch.device("cpu")
EPS = torch.finfo(torch.float32).eps


@pytest.fixture(scope="module")
def readings() -> dict[str, Reading]:
    return measure_suite(CPU)


def test_every_probe_repeats_itself_on_this_cpu(readings: dict[str, Reading]) -> None:
    assert [name for name, reading in readings.items() if reading.bits is None] == []
    assert measure_suite(CPU) == readings
    assert audit(CPU, readings) == {"not_repeatable": [], "mended_by_deterministic": []}


def test_probes_of_metal_are_left_out_elsewhere(readings: dict[str, Reading]) -> None:
    """They are computed in the right form all the same; a digest with them is another machine's."""
    assert not OF_METAL.keys() & readings.keys()
    for probe in OF_METAL.values():
        inputs = probe.inputs()
        torch.testing.assert_close(
            probe.compute(*inputs), probe.compute(*(tensor.double() for tensor in inputs)).float()
        )


def test_float32_errors_are_those_of_rounding(readings: dict[str, Reading]) -> None:
    """No result is rounded more often than values went into it, and roundings wander: n of them
    add up to about √n ULP, here times four. Measured were 0.4 √n ULP at the most."""
    errors = {name: r.max_error for name, r in readings.items() if r.max_error is not None}
    assert errors.keys() == references().keys()
    for name, error in errors.items():
        values = sum(tensor.numel() for tensor in SUITE[name].inputs())
        assert error < 4 * EPS * values**0.5, name


def test_the_shipped_references_are_those_of_the_probes() -> None:
    for name, probe in SUITE.items():
        if probe.has_reference:
            np.testing.assert_allclose(
                compute_reference(probe), references()[name], rtol=1e-9, atol=1e-11, err_msg=name
            )


def test_reduced_precision_has_readings_of_its_own(readings: dict[str, Reading]) -> None:
    reduced = measure_in_precision(CPU, "bf16")
    assert set(reduced) == {f"{name}_bf16" for name in IN_RUN_PRECISION}
    assert reduced["mm_bf16"].bits != readings["mm"].bits
    half_ulp = torch.finfo(torch.bfloat16).eps / 2
    assert half_ulp / 16 < (reduced["mm_bf16"].max_error or 0) < 4 * half_ulp
    assert measure_in_precision(CPU, "fp32") == {}


def test_inputs_are_dyadic_aligned_and_fixed() -> None:
    values = dyadic((64, 33), "anything")
    assert torch.equal(values * 2**23, (values * 2**23).round())
    assert values.abs().max() <= 1
    assert values.data_ptr() % 64 == 0
    assert torch.equal(values, dyadic((64, 33), "anything"))
    assert values[0, :3].mul(2**23).int().tolist() == FIRST_INTEGERS


FIRST_INTEGERS = [-4217953, -6050004, 3027698]


def test_a_probe_that_varies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    count = itertools.count()
    restless = Probe("restless", lambda x: x + next(count), ((3,),), has_reference=False)
    monkeypatch.setattr(numerics, "SUITE", {"restless": restless, "mm": SUITE["mm"]})
    found = measure_suite(CPU)
    assert found["restless"].varies
    assert audit(CPU, found)["not_repeatable"] == ["restless"]
    assert audit(CPU, found)["mended_by_deterministic"] == []
    assert numerics.as_fields(found)["readings"]["restless"] == {"varies": True}


def test_a_probe_that_a_backend_lacks_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("no kernel for this\ndetails")

    monkeypatch.setattr(numerics, "SUITE", {"absent": Probe("absent", absent, ((3,),))})
    found = measure_suite(CPU)
    assert found["absent"] == Reading(None, refusal="no kernel for this")
    assert numerics.as_fields(found)["readings"] == {"absent": {"refusal": "no kernel for this"}}


def test_a_result_that_is_not_finite_is_recorded_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Probe("mm", lambda x: x / 0, ((3,),))
    monkeypatch.setattr(numerics, "SUITE", {"mm": broken})
    reading = measure_suite(CPU)["mm"]
    assert reading.bits is not None
    assert reading.max_error is None
    assert "not finite" in str(reading.refusal)


def test_readings_are_written_as_fields() -> None:
    found = {"mm": Reading("8bdf424b", max_error=2.5e-07, mean_ulp=0.0), "rand": Reading("ab")}
    assert numerics.as_fields(found)["readings"] == {
        "mm": {"bits": "8bdf424b", "max_error": 2.5e-07, "mean_ulp": 0.0}, "rand": {"bits": "ab"}
    }  # fmt: skip


def test_the_digest_is_of_bits_alone(readings: dict[str, Reading]) -> None:
    renamed = {name: replace(reading, max_error=1.0) for name, reading in readings.items()}
    assert digest(renamed, CPU) == digest(readings, CPU)
    changed = readings | {"mm": replace(readings["mm"], bits="00000000")}
    assert digest(changed, CPU) != digest(readings, CPU)


def test_sums_by_atomics_count_only_where_they_must_repeat(readings: dict[str, Reading]) -> None:
    gpu = torch.device("cuda")
    changed = readings | {"index_add": replace(readings["index_add"], bits="00000000")}
    mode = torch.get_deterministic_debug_mode()
    try:
        for asked in ("default", "warn"):  # a warning forces nothing
            torch.set_deterministic_debug_mode(asked)
            assert digest(changed, gpu) == digest(readings, gpu)
        torch.set_deterministic_debug_mode("error")
        assert digest(changed, gpu) != digest(readings, gpu)
    finally:
        torch.set_deterministic_debug_mode(mode)
    assert digest(changed, CPU) != digest(readings, CPU)


def test_atomic_sums_are_known_in_a_reduced_precision_too() -> None:
    assert numerics.adds_atomically("index_add")
    assert numerics.adds_atomically("conv3x3_grad_weight_bf16")
    assert not numerics.adds_atomically("mm_bf16")


def test_a_full_memory_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another user of a GPU would make it another machine."""

    def full(*inputs: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 MiB")

    monkeypatch.setattr(numerics, "SUITE", {"mm": replace(numerics.SUITE["mm"], compute=full)})
    with pytest.raises(DeviceError, match="close what else uses it"):
        numerics.measure_suite(CPU)


def test_algorithms_are_not_picked_by_stopwatch_while_probing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    def look(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.backends.cudnn.benchmark)
        return x

    monkeypatch.setattr(numerics, "SUITE", {"look": Probe("look", look, ((3,),), False)})
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    numerics.measure_numerics(CPU, "fp32")
    assert set(seen) == {False}
    assert torch.backends.cudnn.benchmark


def test_generators_leave_the_global_one_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    for name in ("dropout", "randn", "kaiming_uniform"):
        SUITE[name].compute(*SUITE[name].inputs())
    assert torch.equal(torch.rand(3), expected)
