"""Damaged and half-written files of a run: named, passed over, and everything else answered."""

import json
from pathlib import Path

import pytest

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.findings import Rung
from stages.comparison.page.wording import sentence_of
from stages.core import paths
from stages.runs.run import COMPARED, JSON_FILES, read_run
from stages.runs.sources import open_source
from stages.runs.tables import TABLES
from tests.comparison.made import made, markdown_of, write_run
from tests.comparison.test_step_trace import inside

TEXTS = [*JSON_FILES.values(), paths.PARAMS]
CSVS = [
    TABLES[name].path for name in COMPARED if name in TABLES and TABLES[name].path.suffix == ".csv"
]


def told_of(tmp_path: Path, path: Path, content: bytes) -> str:
    """What a comparison with a run says whose file holds `content`."""
    for name in "ab":
        write_run(tmp_path / name, inside=inside())
    (tmp_path / "b" / path).write_bytes(content)
    a, b = (read_run(open_source(str(tmp_path / name))) for name in "ab")
    assert any(entry.startswith(f"{path} (") for entry in b.missing)
    found = compare_runs(b, a), compare_runs(a, b)
    for one in found:  # nothing is equivalent to what is damaged
        assert one.verdict.exit_status or not b.damaged
    return "".join(map(markdown_of, found))


@pytest.mark.parametrize("content", [b"\0\0\0", b"[1, 2]", b"\xff\xfe", b"- a\n- b: {"])
@pytest.mark.parametrize("path", TEXTS, ids=str)
def test_what_is_no_mapping(tmp_path: Path, path: Path, content: bytes) -> None:
    assert f"{path} (unreadable: " in told_of(tmp_path, path, content)


@pytest.mark.parametrize("value", [None, "x", [1], {"x": None}], ids=str)
@pytest.mark.parametrize("path", JSON_FILES.values(), ids=str)
def test_values_of_another_kind(tmp_path: Path, path: Path, value: object) -> None:
    folder = write_run(tmp_path / "a")
    keys = json.loads((folder / path).read_text()) if (folder / path).exists() else ["train"]
    (folder / path).write_text(json.dumps(dict.fromkeys(keys, value)))
    a, b = read_run(open_source(str(folder))), made(tmp_path / "b")
    for found in (compare_runs(a, b), compare_runs(b, a)):
        assert markdown_of(found).startswith("# ")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("path", CSVS, ids=str)
def test_a_table_that_ends_too_early(tmp_path: Path, path: Path, share: float) -> None:
    whole = (write_run(tmp_path / "whole", inside=inside()) / path).read_bytes()
    text = told_of(tmp_path, path, whole[: int(len(whole) * share)])
    assert f"{path} (unreadable: cut off in its last line)" in text


@pytest.mark.parametrize("path", CSVS, ids=str)
def test_a_table_with_rows_twice_or_none(tmp_path: Path, path: Path) -> None:
    whole = (write_run(tmp_path / "whole", inside=inside()) / path).read_bytes()
    head, rows = whole.split(b"\n", 1)
    assert "two rows have the same" in told_of(tmp_path, path, whole + rows)
    assert f"{path} (no rows)" in told_of(tmp_path, path, head + b"\n")


@pytest.mark.parametrize(
    ("path", "old", "new", "words"),
    [
        (paths.TRACE, b"\n3,", b"\nthree,", "step holds more than numbers"),
        (paths.TRACE, b",w4", b",", "weights_hash is empty in row 4"),
        (paths.HISTORY, b"0.01", b"", "lr is empty in row 2"),
        (paths.PREDICTIONS, b"\n00", b"\n,00", "rows are longer than the head"),
        (paths.PREDICTIONS, b",0.75", b",high", "confidence holds more than numbers"),
        (paths.STEPS, b"0.25 0.25", b"0.25 x 0.25", "a sketch holds more than numbers"),
        (paths.STEPS, b"0.25 0.25", b"0.25 1 0.25", "sketches of another size"),
        (paths.STEPS, b'"steps"', b'"step"', "`steps` is no list of lines"),
        (paths.STEPS, b'"3 ', b'"2 ', "steps: damaged: two rows have the same step, tensor"),
        (paths.STEPS, b'"conv.bias", ', b"", "unreadable: step 1 is not of 2 tensors"),
        (paths.STEPS, b'"fc.weight"]', b'"fc.weight"', "unreadable: Expecting"),
    ],
)
def test_tables_with_a_hole(tmp_path: Path, path: Path, old: bytes, new: bytes, words: str) -> None:
    whole = (write_run(tmp_path / "whole", inside=inside()) / path).read_bytes()
    assert old in whole
    assert words in told_of(tmp_path, path, whole.replace(old, new))


def test_equal_weights_without_predictions_name_whose_are_missing(tmp_path: Path) -> None:
    whole = made(tmp_path / "a")
    without = [made(tmp_path / name, predictions=None) for name in "bc"]
    for one, other in ((whole, without[0]), (without[0], whole), without):
        verdict = compare_runs(one, other).verdict
        assert (verdict.rung, verdict.exit_status) == (Rung.BIT_IDENTICAL, 0)
        names = " and ".join(run.name for run in (one, other) if run.predictions is None)
        told = f"Bit-identical: the same weights; predictions of {names} are missing."
        assert sentence_of(verdict) == told
    other = made(tmp_path / "d", predictions=None, evaluate={"ece": 0.03})
    assert compare_runs(whole, other).verdict.rung is not Rung.BIT_IDENTICAL
