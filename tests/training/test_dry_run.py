"""What cannot work is told before the first step, in words that fit what is wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.core.errors import DeviceError, ModelError, TrainingError
from stages.tasks.classify import Classify
from stages.training import dry_run as rehearsal
from stages.training.engine import Engine
from tests.training.helpers import params, run

OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB.\nMore lines."


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def raise_out_of_memory(*_: Any) -> float:
    raise torch.OutOfMemoryError(OUT_OF_MEMORY)


def test_an_operation_without_a_deterministic_form_is_named_at_the_precision_of_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loss = Classify.loss

    def refuse(self: Classify, outputs: torch.Tensor, targets: Any, smoothing: float) -> Any:
        if outputs.dtype is torch.bfloat16:
            raise RuntimeError("median CUDA does not have a deterministic implementation.")
        return loss(self, outputs, targets, smoothing)

    monkeypatch.setattr(Classify, "loss", refuse)
    run(params(train={"epochs": 1}), images=16)
    with pytest.raises(TrainingError, match=r"median CUDA .*train\.deterministic: warn"):
        run(params(train={"precision": "bf16"}))


def test_a_model_that_draws_in_a_way_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = Classify.loss
    monkeypatch.setattr(Classify, "loss", lambda self, *given: loss(self, *given) * torch.rand(()))
    with pytest.raises(ModelError, match=r"cannot be repeated.*Choose another"):
        run(params(train={"dropout": 0.2}))


def test_a_part_of_one_image_is_told_where_batch_norm_cannot_take_it() -> None:
    small = {"batch_size": 6, "accumulate": 6, "epochs": 1}
    with pytest.raises(TrainingError, match=r"`train\.accumulate` 6 makes a part of one image"):
        run(params(model="timm/test_resnet", input_size=16, train=small), images=16)
    run(params(train=small), images=16)  # LeNet takes it


def test_a_model_that_does_not_fit_is_told_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Classify, "loss", raise_out_of_memory)
    with pytest.raises(DeviceError, match=r"out of memory.*lenet_small does not fit even with two"):
        run(params())


def test_memory_that_ends_while_the_data_is_placed_is_told_with_a_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "__init__", raise_out_of_memory)
    with pytest.raises(DeviceError, match=r"out of memory.*train\.batch_size"):
        run(params())


@pytest.mark.parametrize("compiled", [False, True])
def test_memory_that_ends_while_compiling_is_told_as_such(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = rehearsal._step

    def too_small(engine: Engine, model: Any) -> float:
        if isinstance(model, torch._dynamo.OptimizedModule) is compiled:
            return raise_out_of_memory()
        return step(engine, model)

    monkeypatch.setattr(rehearsal, "_step", too_small)
    with pytest.raises(DeviceError, match=r"out of memory.*train\.batch_size") as caught:
        run(params(train={"compile": True}))
    assert "Triton" not in str(caught.value)
