"""A device that is asked for and absent is told, with what there is to do."""

import pytest
import torch

from stages.core.device import (
    autocast,
    choose_device,
    memory_advice,
    precision_note,
    set_threads,
    threads_note,
)
from stages.core.errors import DeviceError
from stages.core.params import Params


def test_auto_finds_a_device_that_works():
    device = choose_device("auto")
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_absent_cuda_is_told():
    with pytest.raises(DeviceError, match=r"`device` is cuda, but .*Set `device: auto`"):
        choose_device("cuda")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has MPS")
def test_absent_mps_is_told():
    with pytest.raises(DeviceError, match=r"`device` is mps, but MPS"):
        choose_device("mps")


def test_a_cuda_device_beyond_the_last_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto") == torch.device("cuda", 0)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match="there are 2 CUDA devices, counted from 0"):
        choose_device("cuda:2")


def test_threads_are_set(monkeypatch):
    before = torch.get_num_threads()
    assert set_threads(Params(threads=1)) == 1
    torch.set_num_threads(before)


def test_precision_is_that_of_autocast():
    cpu = torch.device("cpu")
    product = torch.ones(4, 4)
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(cpu, precision):
            assert (product @ product).dtype == dtype


def test_a_precision_without_instructions_is_told(monkeypatch) -> None:
    cpu = torch.device("cpu")
    known = {"cpu_name": "A chip", "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    assert "no instructions for bf16" in str(precision_note(cpu, "bf16"))
    assert precision_note(cpu, "fp32") is None
    assert precision_note(torch.device("cuda"), "bf16") is None
    known["amx_bf16"] = True
    assert precision_note(cpu, "bf16") is None
    assert "no instructions for fp16" in str(precision_note(cpu, "fp16"))
    known.clear()  # as an older PyTorch, which does not tell
    assert precision_note(cpu, "bf16") is None


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert "64 on 2 cores: threads will wait" in str(threads_note(64))
    assert threads_note(2) is threads_note("auto") is None


def test_memory_that_ends_is_a_paragraph_with_advice() -> None:
    told = pytest.raises(DeviceError, match=r"The memory of cpu is too small.*Lower it\.")
    with told, memory_advice(torch.device("cpu"), "Lower it."):
        torch.empty(2**60, dtype=torch.uint8)


def test_other_failures_are_not_taken_for_want_of_memory() -> None:
    failed = pytest.raises(RuntimeError, match="shapes cannot be multiplied")
    with failed, memory_advice(torch.device("cpu"), "Lower it."):
        torch.ones(2, 3) @ torch.ones(2, 3)
