"""A run computed again on the present machine, from what it left behind."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmarks.held_out_faults import HELD_OUT
from benchmarks.later_faults import LATER_FAULTS
from benchmarks.planting import planted
from stages.comparison.analysis.findings import Fault, Kind, Rung
from stages.comparison.analysis.limits import LIMITS
from stages.comparison.page.terms import replayed_in_words
from stages.comparison.rerun import local_rerun as here
from stages.comparison.rerun import rebuilt_engine as rerun
from stages.comparison.rerun.answers import _answers, _prepared
from stages.comparison.rerun.found import Followed
from stages.comparison.rerun.origin import (
    _lay_out,
)
from stages.comparison.rerun.replay import replay
from stages.core import paths
from stages.core.errors import DeviceError, RunError
from stages.runs.run import Run, read_run
from stages.runs.sources import Source, open_source
from stages.training.engine import Engine
from tests.comparison.made import as_bytes, without_onednn
from tests.training.helpers import params


def test_here_the_same_bits_come_again(source: Source, record: Run) -> None:
    section, found = here.local_replay(source, record)
    steps = found.after_states
    assert [step.step for step in steps] == [1, 2, 7, 12]
    assert all(step.bits is None and step.distance == 0 for step in steps)
    assert any(step.perturbed_distance for step in steps)  # at a step one ULP may be swallowed
    assert here.rung_of(found) is Rung.BIT_IDENTICAL
    assert [(s.after, s.until) for s in found.stretches] == [(0, 1), (1, 6), (6, 11), (11, 12)]
    assert all(s.distance == 0 and s.by_one_ulp is not None for s in found.stretches)
    assert "12 of 12 steps were computed again." in section.sentences


def test_other_kernels_stay_within_a_few_ulps(source: Source, record: Run) -> None:
    with without_onednn():
        found = replay(source, record)
    steps = found.after_states
    assert any(step.bits for step in steps)
    assert found.fault is None
    yardstick = max(step.perturbed_distance or 0.0 for step in steps)
    assert all((step.distance or 0.0) <= LIMITS["fp32"].ulps * yardstick for step in steps)


def test_a_run_of_another_device_is_computed_on_the_first_runs(source: Source, record: Run) -> None:
    """So that the arithmetic of both is held side by side; without that run, where it can be."""

    def read(path: Path) -> bytes | None:
        content = source.read(path)
        if path != paths.PARAMS or content is None:
            return content
        return yaml.safe_dump(yaml.safe_load(content) | {"device": "cuda"}).encode()

    theirs = replace(source, read=read)
    a = replace(record, name="A", hardware={"backend": "cpu"})
    b = replace(record, name="B", hardware={"backend": "cuda"})
    section, found = here.local_replay(theirs, b, 0.0, a)  # no time for all of its steps
    assert (found.device, found.fault) == ("cpu", None)
    assert section.sentences[:2] == (
        "B, computed again here from what it kept, on cpu instead of cuda: rounding-equivalent.",
        "So its steps are held, from its own states, against cpu, on which A was computed.",
    )
    asked = rerun.on_device_of(a, b, rerun.params_of(theirs)).device
    alone = rerun.on_device_of(None, b, rerun.params_of(theirs)).device
    assert (asked, alone) == ("cpu", "cuda")


def test_a_fault_of_a_step_is_orders_above_and_located(
    source: Source, record: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = rerun.build_engine

    def altered(*arguments: object) -> Engine:
        engine = build(*arguments)  # type: ignore[arg-type]
        engine.params = params(train={"label_smoothing": 0.1})
        return engine

    monkeypatch.setattr("stages.comparison.rerun.replay.build_engine", altered)
    section, found = here.local_replay(source, record)
    assert here.rung_of(found) is Rung.DIFFERENT
    assert all(step.beyond and step.beyond.kind == "loss" for step in found.after_states)
    assert found.fault is not None
    assert (found.fault.where.part, found.fault.where.last, found.fault.state) == ("loss", 1, 0)
    assert section.sentences[1].startswith("In the loss, at step 1: ")


def faulty_from(source: Source, record: Run, begin: int) -> Fault | None:
    """What a replay finds when from step `begin` (from 0) on the decay was twice as large here."""
    fault = LATER_FAULTS["twice the decay"]
    with planted(fault, begin):
        return replay(source, record).fault


@pytest.fixture
def evaluated(source: Source, record: Run) -> Run:
    """The record with the answers that its weights gave."""
    put = _prepared(
        source, source.read(paths.WEIGHTS) or b"", rerun.params_of(source), torch.device("cpu")
    )
    return _answers(record, record.name, *put)


def test_kept_weights_are_put_to_the_test_images_here(source: Source, evaluated: Run) -> None:
    """Without any state, too: the answers need none."""
    alone = replace(source, names=lambda _: [])
    section, found = here.local_replay(alone, evaluated)
    assert found.answered is not None
    assert (found.answered.confidence, found.answered.loss, found.fault) == (0.0, 0.0, None)
    assert here.rung_of(found) is Rung.ROUNDING
    assert "No state to compute its steps from is at hand" in section.sentences[1]
    whole = Followed(0, found.steps, found.steps, 0.0, None, True, None)
    equal = replace(found, stretches=[whole])
    assert here.rung_of(equal) is Rung.BIT_IDENTICAL
    # A sketch of weights, and steps that were left out, show no equal bits.
    for less in (replace(whole, same=False), replace(whole, until=1)):
        assert here.rung_of(replace(found, stretches=[less])) is Rung.ROUNDING
    apart = replace(equal, answered=replace(found.answered, loss=2e-7))
    assert here.rung_of(apart) is Rung.ROUNDING


def test_a_fault_of_the_evaluation_is_found_whatever_the_training_did(
    source: Source, evaluated: Run
) -> None:
    with planted(HELD_OUT["answers 1 % more sure"], 0):
        found = replay(replace(source, names=lambda _: []), evaluated).fault
    assert found is not None
    assert (found.kind, found.where.part) == (Kind.REPLAYED, "evaluation")
    assert replayed_in_words(found, "B").endswith("(B's kept weights, evaluated here)")


def test_weights_that_are_not_those_recorded_are_refused(source: Source, evaluated: Run) -> None:
    other = replace(evaluated, train={"weights_sha256": "0" * 64})
    with pytest.raises(RunError, match="is not the file that its training recorded"):
        replay(source, other)


def test_a_fault_that_begins_late_is_found_between_two_states(source: Source, record: Run) -> None:
    found = faulty_from(source, record, 8)
    assert found is not None
    assert (found.where.part, found.where.first, found.where.last) == ("update", 8, 12)
    assert found.state == 11


def test_time_that_ends_leaves_steps_uncovered_and_says_so(source: Source, record: Run) -> None:
    section, found = here.local_replay(source, record, 0.0)
    assert [(s.after, s.until) for s in found.stretches] == [(0, 1), (1, 2), (6, 7), (11, 12)]
    assert (
        "4 of 12 steps were computed again, as many as the time allowed; not those of 3–6, 8–11."
        in section.sentences
    )


def _other_betas(optimizer: dict[str, Any]) -> None:
    optimizer["param_groups"][0]["betas"] = (0.9, 0.99)


def _a_step_ahead(optimizer: dict[str, Any]) -> None:
    for kept in optimizer["state"].values():
        kept["step"] = kept["step"] + 1


@pytest.mark.parametrize(
    ("alter", "words", "a", "b"),
    [
        (_other_betas, "betas of ", (0.9, 0.999), (0.9, 0.99)),
        (_a_step_ahead, "the count of its steps is 6 ", 6, 7),
    ],
)
def test_another_setting_of_the_optimiser_is_exact(
    source: Source,
    record: Run,
    alter: Callable[[dict[str, Any]], None],
    words: str,
    a: object,
    b: object,
) -> None:
    """It would go on as the state has it, and nothing that follows would show it."""

    def read(path: Path) -> bytes | None:
        content = source.read(path)
        if content is None or path.name != "snapshot-00000006.pt":
            return content
        state = torch.load(io.BytesIO(content), weights_only=True)
        alter(state["optimizer"])
        return as_bytes(state)

    found = replay(replace(source, read=read), record).fault
    assert found is not None
    assert found.kind is Kind.OPTIMIZER
    told = replayed_in_words(found, "B")
    assert told.startswith(f"in the settings of the optimiser, between steps 3 and 6: {words}")
    assert (found.a, found.b) == (a, b)


@pytest.mark.parametrize("state", [b"", b"PK no zip", None])
def test_a_snapshot_that_cannot_be_loaded_is_told(
    source: Source, record: Run, state: bytes | None
) -> None:
    def read(path: Path) -> bytes | None:
        return state if path.suffix == ".pt" else source.read(path)

    words = "no state to replay from" if state is None else "snapshot after step 0 cannot be used"
    with pytest.raises(RunError, match=words):
        replay(replace(source, read=read), record)


def test_a_run_without_snapshots_cannot_be_replayed(tmp_path: Path, record: Run) -> None:
    with pytest.raises(RunError, match="no state to replay from"):
        replay(open_source(str(tmp_path)), record)


def test_a_compiled_run_is_told_why_it_has_no_step(source: Source, record: Run) -> None:
    compiled = replace(record, params={"train": {"compile": True}}, inside=None)
    with pytest.raises(RunError, match="no step is recorded from within"):
        replay(source, compiled)


def test_memory_that_ends_is_told_with_advice(
    source: Source, record: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(Engine, "gradients", full)
    with pytest.raises(DeviceError, match="CUDA_VISIBLE_DEVICES="):
        replay(source, record)


def test_a_run_that_fell_back_is_repeated_as_it_ended(tmp_path: Path, left_behind: Path) -> None:
    """Its parameters ask for bf16; weights and snapshots are of the second try, at fp32."""
    fallen = tmp_path / "fallen"
    shutil.copytree(left_behind, fallen)
    asked = yaml.safe_load((fallen / paths.PARAMS).read_text())
    asked["train"] |= {"precision": "bf16", "on_nonfinite": "fp32"}
    (fallen / paths.PARAMS).write_text(yaml.safe_dump(asked))
    (fallen / paths.TRAIN_METRICS).write_text(json.dumps({"precision": "fp32"}))
    source = open_source(str(fallen))
    assert rerun.params_of(source).train.precision == "fp32"
    assert here.rung_of(here.local_replay(source, read_run(source))[1]) is Rung.BIT_IDENTICAL
    laid_out = tmp_path / "laid out"
    _lay_out(source, laid_out)
    assert rerun.params_of(open_source(str(laid_out))).train.precision == "fp32"


@pytest.mark.parametrize("told", [b"{", b"[]", b'{"precision": "int4"}', b"{}"])
def test_a_precision_that_is_not_told_is_the_one_asked_for(source: Source, told: bytes) -> None:
    def read(path: Path) -> bytes | None:
        return told if path == paths.TRAIN_METRICS else source.read(path)

    assert rerun.params_of(replace(source, read=read)).train.precision == "fp32"
