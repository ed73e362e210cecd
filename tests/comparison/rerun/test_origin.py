"""The first operation with other bits, in a small run's first step and in logs."""

import json
from pathlib import Path

import pytest

from stages.comparison.rerun import local_rerun as here
from stages.comparison.rerun import rebuilt_engine as rerun
from stages.comparison.rerun.operations import log_first_step
from stages.comparison.rerun.origin import (
    Op,
    capture_ops,
    find_origins,
    load_ops,
    ops_as_json,
)
from stages.core.errors import RunError
from stages.runs.run import Run
from stages.runs.sources import Source, open_source
from tests.comparison.made import without_onednn


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
