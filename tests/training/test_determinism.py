"""Every family trains to the same bits twice, in float32 and in bfloat16."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.core.determinism import set_determinism
from stages.core.params import Params
from stages.models import MODELS, BuiltModel
from stages.tasks.classify import Classify
from stages.training.checkpoint import Checkpoints
from tests.training.helpers import params, run

ONE_OF_EACH_FAMILY = [
    "lenet_small",
    "resnet18",
    "mobilenet_v2",
    "efficientnet_v2_s",
    "convnext_v2_tiny",
    "vit_2l_2h_128",
    "swin_tiny",
    "repvgg_a0",
    "shufflenet_v2_x0_5",
    "speedrun_small",
]


def test_every_family_is_among_them() -> None:
    assert {MODELS[name].make.__module__ for name in ONE_OF_EACH_FAMILY} == {
        spec.make.__module__ for spec in MODELS.values()
    }


@pytest.fixture(scope="module")
def drawn() -> dict[str, BuiltModel]:
    """The model drawn last, by name."""
    return {}


@pytest.fixture
def _steps_alone(drawn: dict[str, BuiltModel], monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw a model once for all its runs and write no checkpoints: both have tests of their own.

    They take several times as long as a few steps.
    """
    build = Classify.build

    def build_once(task: Classify, params: Params, classes: int) -> BuiltModel:
        if params.model not in drawn:
            drawn.clear()
            drawn[params.model] = build(task, params, classes)
        return copy.deepcopy(drawn[params.model])

    monkeypatch.setattr(Classify, "build", build_once)
    monkeypatch.setattr(Checkpoints, "save", lambda *_: None)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])  # the faster to change: one drawing each
@pytest.mark.parametrize("model", ONE_OF_EACH_FAMILY)
@pytest.mark.usefixtures("_steps_alone")
def test_a_family_repeats_itself(
    model: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    recipe = {"epochs": 1, "batch_size": 4, "precision": precision, "snapshots": False}
    chosen = params(model, train=recipe, threads=2, subset={"val": 0})
    traces = [run(chosen, images=8, val=False).trained.record.trace for _ in range(2)]
    assert traces[0] == traces[1]
    assert len(traces[0]) == 2


@pytest.mark.parametrize("model", ["lenet_small", "vit_2l_2h_128"])
def test_a_busy_machine_changes_no_bit(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    chosen = params(model, train={"epochs": 1, "snapshots": False}, threads=2)
    calm = run(chosen, val=False).trained.record.trace
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        assert run(chosen, val=False).trained.record.trace == calm
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_switches_are_set_and_can_be_lifted() -> None:
    set_determinism(True, torch.device("cpu"))
    assert torch.are_deterministic_algorithms_enabled()
    set_determinism("warn", torch.device("cpu"))
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    set_determinism(False, torch.device("cpu"))
    assert not torch.are_deterministic_algorithms_enabled()
    set_determinism(True, torch.device("cpu"))
