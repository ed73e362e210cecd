"""Planted faults and stand-in machines on a real, small training.

The short form of `benchmarks/planted_faults.py`: the same faults in one process, without
evaluation, so that what training records must do.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.faults import FAULTS
from benchmarks.later_faults import LATER_FAULTS
from benchmarks.planting import planted
from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.fault import find_fault, rounding_explains
from stages.comparison.analysis.findings import Rung, Where
from stages.comparison.analysis.rounding import is_measured
from stages.comparison.analysis.step_trace import places_at
from stages.comparison.page.terms import where_in_words
from stages.runs.run import Run
from stages.tasks.classify import Classify
from stages.training import engine
from tests.comparison.made import trained, without_onednn

SHORT = {
    "bf16 for float32": "(float32 against bfloat16)",
    "label smoothing": "in the loss",
    "no normalisation": "images",
    "one class's labels swapped": "labels",
    "mirrored images": "images",
    "another epsilon in AdamW": "optimiser",
    "another beta in AdamW": "optimiser",
    "stale learning rate": "learning rate",
    "dropped last batch": "steps",
    "gradients clipped": "backward pass",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("plain")))
        yield trained("plain")


@pytest.fixture(autouse=True)
def _put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a fault patches is as before afterwards; checkpoints go to a folder of the test."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    places = [
        (engine, ("autocast", "preprocess", "make_optimizer")),
        (engine.Engine, ("__init__", "gradients", "update", "epoch")),
        (engine.Augmenter, ("apply",)),
        (Classify, ("build", "loss")),
    ]
    for owner, names in places:
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name))
    from stages.training import inference

    monkeypatch.setattr(inference, "preprocess", inference.preprocess)


@pytest.mark.parametrize("name", SHORT)
def test_a_planted_fault_is_different_and_located(plain: Run, name: str) -> None:
    FAULTS[name].plant()
    verdict = compare_runs(plain, trained("faulty")).verdict
    assert verdict.rung is Rung.DIFFERENT, verdict
    assert verdict.where is not None
    assert SHORT[name] in where_in_words(verdict.where)


BF16 = {
    "float32 for bf16": "(bfloat16 against float32)",
    "label smoothing": "in the loss",
    "one class's labels swapped": "labels",
    "weight decay tenfold": "optimiser",
    "another epsilon in AdamW": "optimiser",
    "gradients clipped": "backward pass",
}


@pytest.fixture(scope="module")
def plain_bf16(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("bf16")))
        yield trained("plain", train={"precision": "bf16"})


@pytest.mark.parametrize("name", BF16)
def test_a_fault_at_bf16_is_different_and_located(plain_bf16: Run, name: str) -> None:
    fault = FAULTS.get(name)
    if fault is not None:
        fault.plant()
    decay = {"weight_decay": 0.5} if fault is None else {}
    faulty = trained("faulty", train={"precision": "bf16", **decay})
    verdict = compare_runs(plain_bf16, replace(faulty, params=plain_bf16.params)).verdict
    assert verdict.rung is Rung.DIFFERENT, verdict
    assert verdict.where is not None
    assert BF16[name] in where_in_words(verdict.where)


def test_another_machine_at_bf16_is_rounding(plain_bf16: Run) -> None:
    with without_onednn():
        other = trained("plain kernels", train={"precision": "bf16"})
    assert find_fault(plain_bf16, other, "bf16") is None
    assert rounding_explains(plain_bf16, other, "bf16")
    assert is_measured(places_at(plain_bf16, other, 1))


def test_a_fault_in_one_layer_is_found_at_its_step_and_layer(
    plain: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = engine.Engine.update

    def altered(self: engine.Engine) -> None:
        update(self)
        if self.schedule.last_epoch == 5:
            with torch.no_grad():
                dict(self.model.named_parameters())[layer].mul_(1.5)

    assert plain.tensors is not None
    layer = plain.tensors["tensor"].iloc[4]
    monkeypatch.setattr(engine.Engine, "update", altered)
    found = compare_runs(plain, trained("altered"))
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.part) == (5, "update")
    assert found.divergence.tensors == (layer,)
    assert found.verdict.where == Where(
        "update", "", 5, 5, 1, (layer,), plain.tensors["tensor"].nunique()
    )


SGD = {"optimizer": "sgd"}
"""Its steps are as far apart as their gradients. AdamW makes whole steps of a gradient that is
nothing but rounding, and some weights of a small network have such a one."""


@pytest.fixture(scope="module")
def by_sgd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("sgd")))
        yield trained("plain", train=SGD)


def test_other_threads_are_rounding(by_sgd: Run) -> None:
    other = trained("threads", train=SGD, threads=3)
    assert rounding_explains(by_sgd, other, "fp32")
    found = compare_runs(by_sgd, other)
    assert found.verdict.fault is None
    assert found.verdict.rounding_until == found.verdict.steps


def test_without_onednn_is_rounding(by_sgd: Run) -> None:
    with without_onednn():
        other = trained("plain kernels", train=SGD)
    assert rounding_explains(by_sgd, other, "fp32")
    found = compare_runs(by_sgd, other)
    assert found.verdict.fault is None
    assert found.verdict.rounding_until == found.verdict.steps
    assert found.verdict.gradient_distance


@pytest.mark.parametrize("name", ["another order", "label smoothing 0.02", "a frozen layer"])
def test_a_late_fault_on_another_machine_is_different_and_located(by_sgd: Run, name: str) -> None:
    fault = LATER_FAULTS[name]
    with without_onednn(), planted(fault, 7):
        verdict = compare_runs(by_sgd, trained("plain kernels", train=SGD)).verdict
    assert verdict.rung is Rung.DIFFERENT, verdict
    assert verdict.where is not None
    assert verdict.where.part in fault.places
    assert verdict.where.last in (7, 8)


def test_the_twin_is_rounding_and_grows(by_sgd: Run) -> None:
    twin = trained("twin", train=SGD | {"perturb_one_ulp": True})
    assert rounding_explains(by_sgd, twin, "fp32")
    found = compare_runs(by_sgd, twin)
    assert found.verdict.fault is None
    assert found.verdict.rounding_until == found.verdict.steps
    assert "initial weights but for one ULP" in found.verdict.shared
    assert found.growth is not None
    assert found.growth.distance[0]


def test_the_same_run_parts_nowhere(plain: Run) -> None:
    found = compare_runs(plain, trained("again"))
    assert found.divergence is not None
    assert found.divergence.step is None
    assert found.verdict.gradient_distance == 0
    assert found.growth is not None
    assert not any(found.growth.distance)
