"""The declared DNA: what it reads, and what it refuses to guess."""

import json
from importlib import metadata

import pytest
import torch

from stages.core.params import Params, parse_params
from stages.dna import machine, software, switches
from stages.dna.declared import DECIDES_BITS, read_declared


def test_reads_what_torch_says_of_this_machine() -> None:
    declared = read_declared(Params(), torch.device("cpu"))
    assert declared.machine["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert declared.machine["threads"] == torch.get_num_threads()
    assert declared.machine["torch"] == metadata.version("torch")
    assert declared.machine["backend"] == "cpu"
    assert declared.run["seed"] == 0


def test_every_fact_of_the_identity_is_read() -> None:
    facts = read_declared(Params(), torch.device("cpu")).machine
    assert set(DECIDES_BITS) <= set(facts)
    assert set(switches.USUAL) <= set(facts)


def test_what_is_as_usual_stays_out_of_the_identity() -> None:
    """Or facts that are read since a later version would change the ids of earlier machines."""
    plain, matmul = read_declared(Params(), torch.device("cpu")), torch.backends.cuda.matmul
    unusual = {name for name, usual in switches.USUAL.items() if plain.machine[name] != usual}
    assert set(plain.identity()) == {*DECIDES_BITS, *unusual, "environment"}
    try:
        matmul.allow_fp16_accumulation = True
        changed = read_declared(Params(), torch.device("cpu")).identity()
    finally:
        matmul.allow_fp16_accumulation = False
    assert changed["fp16_accumulation"] is True


def test_accelerator_facts_are_null_on_a_cpu() -> None:
    facts = machine.accelerator_facts(torch.device("cpu"))
    assert {value for name, value in facts.items() if name != "backend"} == {None}
    assert {software.software_facts("cpu")[name] for name in ("cuda", "cudnn", "rocm")} == {None}


def test_a_chip_without_a_name_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = pytest.importorskip("cpuinfo")
    monkeypatch.setattr(cpuinfo, "get_cpu_info", dict)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "Unknown"})
    facts = machine.chip_facts()
    assert facts["chip"] is None
    assert facts["cpu_features"] is None
    assert facts["l2_cache_kb"] is None


def test_py_cpuinfo_is_asked_when_torch_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = pytest.importorskip("cpuinfo")
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: {"brand_raw": " Chip 3000 "})
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert machine.chip_facts()["chip"] == "Chip 3000"


def test_a_missing_package_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(software, "PACKAGES", ("torch", "no-such-package"))
    assert software.software_facts("cpu")["no-such-package"] is None


def test_the_kernel_is_cut_to_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.release", lambda: "6.1.0-21-cloud-of-alice")
    assert machine.system_facts()["kernel"] == "6.1.0"


def test_switches_of_the_environment_enter_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", " BF16 ")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    declared = read_declared(Params(), torch.device("cpu"))
    assert declared.environment["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16"
    assert declared.environment["OMP_NUM_THREADS"] == "3"
    assert "ONEDNN_DEFAULT_FPMATH_MODE" in declared.identity()["environment"]
    assert "OMP_NUM_THREADS" not in declared.identity()["environment"]


def test_the_workspace_that_training_sets_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert "CUBLAS_WORKSPACE_CONFIG" not in switches.environment_switches()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    assert switches.environment_switches()["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_settings_of_torch_are_read_as_they_stand() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert switches.torch_switches()["float32_matmul_precision"] == "medium"
        torch.set_flush_denormal(True)
        assert switches.torch_switches()["flush_denormal"] is True
    finally:
        torch.set_float32_matmul_precision(before)
        torch.set_flush_denormal(False)
    assert switches.torch_switches()["flush_denormal"] is False


def test_settings_of_the_run_stay_out_of_the_identity() -> None:
    params = parse_params({"seed": 3, "train": {"precision": "bf16"}}, "test")
    one = read_declared(Params(), torch.device("cpu")).identity()
    other = read_declared(params, torch.device("cpu")).identity()
    assert json.dumps(one) == json.dumps(other)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ((1, 2, 0, 3, 4), "1 2 0 3 4"),
        ((3, 1, 2, 0, 4), "1 2 0 3 4"),
        ((0, 1, 2, 3, 4), "0 1 2 3 4"),
    ],
)
def test_the_first_attention_on_a_gpu_makes_it_no_other_machine(
    order: tuple[int, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch._C._get_sdp_priority_order", lambda: order)
    assert switches.rare_switches()["sdpa_priority"] == told
