"""Replay and origin on the present machine, from what a real small run left behind."""

import io
import json
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml

from benchmarks.held_out_faults import HELD_OUT
from benchmarks.later_faults import LATER_FAULTS
from benchmarks.planting import planted
from stages.comparison.analysis.findings import Fault, Kind, Rung
from stages.comparison.analysis.rounding import LIMITS
from stages.comparison.analysis.step_trace import OF_A_RUN
from stages.comparison.page.terms import replayed_in_words
from stages.comparison.rerun import local_rerun as here
from stages.comparison.rerun import rebuilt_engine as rerun
from stages.comparison.rerun.answers import _answers, _prepared
from stages.comparison.rerun.operations import log_first_step
from stages.comparison.rerun.origin import (
    Op,
    _lay_out,
    capture_ops,
    find_origins,
    load_ops,
    ops_as_json,
)
from stages.comparison.rerun.replay import _inside, replay
from stages.core import paths
from stages.core.errors import DeviceError, RunError
from stages.core.files import write_json
from stages.runs.run import Run, read_run
from stages.runs.schema import INSIDE_COLUMNS, TENSOR_COLUMNS
from stages.runs.sources import Source, open_source
from stages.runs.steps import as_record, as_table
from stages.runs.training_record import about_of
from stages.runs.weights_file import write_weights
from stages.training.engine import Engine
from stages.training.run import training
from tests.comparison.made import without_onednn
from tests.training.helpers import CLASSES, params, split


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, as far as replay needs it."""
    folder = tmp_path_factory.mktemp("run")
    chosen = params(train={"snapshots": True})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        with training(chosen, {"train": split()}, CLASSES, {"data": "small"}, print) as run:
            (folder / paths.SNAPSHOTS).mkdir(parents=True)
            for snapshot in run.checkpoints.snapshots():
                (folder / paths.SNAPSHOTS / snapshot.name).write_bytes(snapshot.read_bytes())
            table = as_table(run.trained.record.inside, INSIDE_COLUMNS)
            about = about_of(run, [f"class {index}" for index in range(CLASSES)], 16)
            write_weights(folder / paths.WEIGHTS, about, run.trained.weights)
    (folder / paths.STEPS).parent.mkdir()
    write_json(folder / paths.STEPS, as_record(pd.DataFrame(columns=TENSOR_COLUMNS), table))
    (folder / paths.PARAMS).write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    labels = pd.DataFrame({"label": range(CLASSES), "name": "x", "class": "x", "digest": "x"})
    labels.to_csv(folder / paths.INDICES, index=False)
    return folder


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stages.datasets.pixels.load_splits", lambda *_: {"train": split(), "test": split()}
    )


@pytest.fixture
def source(left_behind: Path) -> Source:
    return open_source(str(left_behind))


@pytest.fixture
def record(source: Source) -> Run:
    return read_run(source)


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


def test_another_setting_of_the_optimiser_is_exact(source: Source, record: Run) -> None:
    """It would go on as the state has it, and nothing that follows would show it."""

    def read(path: Path) -> bytes | None:
        content = source.read(path)
        if content is None or path.name != "snapshot-00000006.pt":
            return content
        state = torch.load(io.BytesIO(content), weights_only=True)
        state["optimizer"]["param_groups"][0]["betas"] = (0.9, 0.99)
        return as_bytes(state)

    found = replay(replace(source, read=read), record).fault
    assert found is not None
    assert found.kind is Kind.OPTIMIZER
    words = replayed_in_words(found, "B")
    assert words.startswith("in the settings of the optimiser, between steps 3 and 6: betas of ")
    assert (found.a, found.b) == ((0.9, 0.999), (0.9, 0.99))


def as_bytes(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.fixture
def tied(source: Source, record: Run) -> tuple[Source, Run]:
    """The run with one state alone, at which ReLU has a value at zero, and passed it on there."""
    last = "snapshot-00000011.pt"
    state = torch.load(io.BytesIO(source.read(paths.SNAPSHOTS / last) or b""), weights_only=True)
    engine, bias = rerun.build_engine(source, rerun.params_of(source)), state["model"]["fc1.bias"]

    def entering() -> torch.Tensor:
        """What enters the ReLU below `fc1` in step 12, [16, 120]; leaves its gradients."""
        seen: list[torch.Tensor] = []
        engine.load_state_dict(deepcopy(state))
        handle = engine.model.fc1.register_forward_hook(  # type: ignore[union-attr, operator]
            lambda _, __, output: seen.append(output.detach().clone())
        )
        engine.gradients(*rerun.epoch_of(engine, 12))
        handle.remove()
        return seen[0]

    image, unit = divmod(int(entering().abs().argmin()), bias.numel())
    for _ in range(5):
        bias[unit] -= entering()[image, unit]
    while entering()[image, unit] > 0:
        bias[unit] = torch.nextafter(bias[unit], torch.tensor(-1.0))
    kept = as_bytes(state)
    while entering()[image, unit] <= 0:
        bias[unit] = torch.nextafter(bias[unit], torch.tensor(1.0))
    engine.load_state_dict(deepcopy(state))
    rows, _ = _inside(engine, 12)
    assert record.inside is not None
    of_step = (record.inside["step"] == 12) & ~record.inside["kind"].isin(OF_A_RUN)
    told = replace(record, inside=pd.concat([record.inside[~of_step], rows]))
    alone = replace(
        source,
        names=lambda _: [last],
        read=lambda path: kept if path.name == last else source.read(path),
    )
    return alone, told


def test_a_value_at_zero_that_fell_the_other_way_is_no_fault(tied: tuple[Source, Run]) -> None:
    section, found = here.local_replay(*tied)
    (step,) = found.after_states
    assert (step.distance or 0.0) > LIMITS["fp32"].gradient
    assert (step.beyond, found.fault) == (None, None)
    assert step.tie is not None
    assert any("fell the other way" in sentence for sentence in section.sentences)


def test_a_fault_of_the_way_back_is_none_that_rounding_makes(source: Source, record: Run) -> None:
    with planted(HELD_OUT["a gradient 3 % larger"], 0):
        found = replay(source, record)
    assert found.fault is not None
    assert (found.fault.where.part, found.fault.where.last) == ("gradient", 1)
    assert not any(step.tie for step in found.after_states)


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


def test_operations_are_logged_with_their_modules(source: Source) -> None:
    engine = rerun.build_engine(source, rerun.params_of(source))
    ops = log_first_step(engine)
    assert any("convolution" in op.name for op in ops)
    assert any(op.module.endswith("conv1") or "conv" in op.module for op in ops)
    again = log_first_step(engine)
    assert (
        find_origins(ops, again).describe() == f"The same bits in {len(ops)} operations of step 1."
    )


def test_the_origin_is_the_first_operation_of_its_own(source: Source) -> None:
    engine = rerun.build_engine(source, rerun.params_of(source))
    ops = log_first_step(engine)
    with without_onednn():
        found = find_origins(ops, log_first_step(engine))
    assert found.origins
    assert "convolution" in found.origins[0].name
    assert found.differing >= len(found.origins)


def op(name: str, inputs: str = "i", outputs: str = "o") -> Op:
    return Op(name, "net", inputs, outputs, "float32")


def test_consequences_are_no_origins() -> None:
    a = [op("conv"), op("relu"), op("mm")]
    b = [op("conv", outputs="x"), op("relu", "x", "y"), op("mm", outputs="z")]
    found = find_origins(a, b)
    assert [origin.name for origin in found.origins] == ["conv", "mm"]
    assert (found.operations, found.differing) == (3, 3)
    assert "First divergence in `conv` of `net`" in found.describe()


def test_steps_that_begin_apart_have_no_origin_and_are_not_equal() -> None:
    """Other images: every operation differs, and none of them is to blame."""
    a, b = ([op("conv", at, at), op("mm", at, at)] for at in "xy")
    words = find_origins(a, b).describe()
    assert "2 of 2 give other bits" in words
    assert "What enters the first of them, `conv` in `net`, differs already" in words


def test_operations_without_a_counterpart_are_stepped_over() -> None:
    found = find_origins([op("conv"), op("mm")], [op("conv"), op("cast"), op("mm")])
    assert found.operations == 2
    assert found.describe() == "The operations themselves differ, first at `cast` in `net`."


def test_a_log_can_be_brought_along(
    tmp_path: Path, source: Source, record: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "ops.json"
    log.write_text(json.dumps(ops_as_json([op("conv"), op("mm")])))
    assert load_ops(log) == [op("conv"), op("mm")]
    captured = [op("conv", outputs="x"), op("mm")]
    monkeypatch.setattr(here, "capture_ops", lambda *_: captured)
    section = here.local_origins((source, record), None, log)
    assert "First divergence in `conv`" in section.sentences[0]
    assert here.save_ops(source, tmp_path / "mine.json").endswith(
        f"mine.json: 2 operations of the first step of {source.name}."
    )
    assert load_ops(tmp_path / "mine.json") == captured


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "ops.json").write_text("[{}]")
    with pytest.raises(RunError, match="no log of operations"):
        load_ops(tmp_path / "ops.json")


def test_a_run_without_images_cannot_be_repeated(tmp_path: Path, left_behind: Path) -> None:
    (tmp_path / "params.yaml").write_text((left_behind / "params.yaml").read_text())
    source = open_source(str(tmp_path))
    params_here = rerun.params_of(source)
    with pytest.raises(RunError, match=r"no data/indices\.csv"):
        rerun.build_engine(source, params_here)
    with pytest.raises(RunError, match=r"no data/indices\.csv"):
        capture_ops(source)
