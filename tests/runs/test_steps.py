"""The record of steps: back from text as it was, with lists alone, and small."""

import json
from pathlib import Path

import pandas as pd
import pytest

from stages.core.files import parse_csv, write_json
from stages.runs.schema import INSIDE_COLUMNS, TENSOR_COLUMNS
from stages.runs.steps import as_record, as_table, inside_csv, tensors_of
from tests.training.helpers import params, run


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def test_a_training_is_read_as_it_was_recorded(tmp_path: Path) -> None:
    left = run(params(train={"snapshots": True})).trained.record
    tensors = as_table(left.tensor_trace, TENSOR_COLUMNS)
    inside = as_table(left.inside, INSIDE_COLUMNS)
    write_json(tmp_path / "steps.json", as_record(tensors, inside))
    text = (tmp_path / "steps.json").read_text()
    record = json.loads(text)
    assert all(isinstance(value, list) for value in record.values())  # or DVC would show it
    short = {name: tensors[name].str[:8] for name in ("grad_hash", "weights_hash")}
    pd.testing.assert_frame_equal(tensors_of(record), tensors.assign(**short), check_dtype=False)
    again = parse_csv(inside_csv(record), ["inputs_hash", "hash", "sketch"])
    assert list(again["sketch"]) == list(inside["sketch"])
    assert len(text) < len(tensors.to_csv()) / 2 + 1.1 * len(inside.to_csv())


def test_a_tensor_without_a_gradient_has_none() -> None:
    rows = [(1, "stem", None, "a" * 16), (1, "head", "b" * 16, "c" * 16)]
    tensors = pd.DataFrame(rows, columns=TENSOR_COLUMNS)
    again = tensors_of(as_record(tensors, pd.DataFrame(columns=INSIDE_COLUMNS)))
    assert again["grad_hash"].isna().tolist() == [True, False]
    assert list(again["weights_hash"]) == ["a" * 8, "c" * 8]
