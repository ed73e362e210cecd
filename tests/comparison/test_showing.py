"""A comparison as Markdown, JSON and a page."""

import json
from pathlib import Path

import pytest

from stages.comparison.matrix import compare_all
from stages.comparison.overview import overview
from stages.comparison.page import as_html
from stages.comparison.record import Record
from stages.comparison.sections import Grid, Section, ratio_in_words, sections_of
from stages.comparison.text import (
    as_json,
    as_markdown,
    finite,
    markdown_table,
    section_as_markdown,
)
from stages.comparison.together import Comparison, compare_records
from tests.comparison.made import made, predictions, trace
from tests.comparison.test_inside import inside


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    """Two runs that differ in a bit of everything."""
    a = made(tmp_path / "a", inside=inside())
    b = made(
        tmp_path / "b",
        train={"weights_sha256": "v" * 64, "epoch_seconds_p50": 0.5},
        hardware={"cpu_capability": "AVX2", "memory_gb": 4.0},
        numerics={"bits": {"mm": "1", "softmax": "3"}, "not_repeatable": "index_add"},
        trace=trace(parted=1, part="update"),
        predictions=predictions(moved=3),
        inside=inside({("module", "fc"): 1e-7}),
    )
    return compare_records(a, b, 0.005, made(tmp_path / "t", inside=inside({("loss", "loss"): 1e-8})))  # fmt: skip  # noqa: E501


def test_every_question_has_its_section(found: Comparison) -> None:
    titles = [section.title for section in sections_of(found)]
    assert titles == [
        "What differs in the set-up", "Numeric DNA", "Where they part", "Whether it matters",
        "What it costs",
    ]  # fmt: skip


def test_markdown_begins_with_the_verdict(found: Comparison) -> None:
    text = as_markdown(found)
    assert text.splitlines()[2].startswith("**Rounding-equivalent:")
    assert "1 of 2 probes have other bits." in text
    assert "4.00× better" in text
    assert "lacks data/inside.csv" not in text
    assert "Not repeatable on" in text


def test_missing_pieces_are_told_and_the_rest_answered(tmp_path: Path) -> None:
    less = dict.fromkeys(("trace", "predictions", "numerics", "profile"))
    text = as_markdown(compare_records(made(tmp_path / "a"), made(tmp_path / "b", **less)))
    assert "lacks metrics/numerics.json" in text
    assert "Without a trace of both runs it is not known where they part." in text
    assert "Without the predictions of both runs" in text
    assert "epoch_seconds_p50" in text


def test_json_holds_every_answer(found: Comparison) -> None:
    value = json.loads(json.dumps(finite(as_json(found)), allow_nan=False))
    assert value["verdict"] == "rounding-equivalent"
    assert value["exit_status"] == 0
    assert value["parting"]["step"] == 1
    assert value["answers"]["churn"] == 0.03
    assert value["numerics"]["changed"] == {"softmax and losses": ["softmax"]}
    assert {cost["name"] for cost in value["costs"]} >= {"epoch_seconds_p50"}


def test_numbers_that_json_lacks_become_null() -> None:
    assert finite({"a": [float("nan"), (1.0, float("inf"))]}) == {"a": [None, [1.0, None]]}


def test_the_page_stands_alone(found: Comparison) -> None:
    page = as_html(found)
    assert "<svg" in page
    assert "Growth of the distance" in page
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert page.count("<h2") == 5


def test_names_in_sentences_are_code_on_the_page(found: Comparison) -> None:
    more = Section("more", "More", ("Look at `a<b`.",))
    assert "Look at <code>a&lt;b</code>." in as_html(found, [more])


def test_tables_keep_bars_in_their_cells() -> None:
    lines = markdown_table(Grid(("a", "b"), (("x|y", "1"),), (1,))).splitlines()
    assert lines == ["| a    |   b |", "| ---- | --: |", "| x\\|y |   1 |"]


def test_the_matrix_is_a_table(tmp_path: Path) -> None:
    records = [made(tmp_path / name) for name in "abc"]
    pairs = compare_all(records, 0.005)
    shown = overview(pairs, records)
    text = "\n".join(section_as_markdown(section) for section in shown)
    assert text.count("bit-identical, churn 0.00%, +0.00 points") == 3
    assert text.index("Every pair") < text.index("What was found")
    assert "1.00×" in text


def test_the_matrix_says_what_is_not_known(tmp_path: Path) -> None:
    records = [Record(name) for name in "abc"]
    text = "\n".join(map(section_as_markdown, overview(compare_all(records, 0.005), records)))
    assert text.count("| –") >= 3


@pytest.mark.parametrize(
    ("ratio", "words"), [(4.5, "4.50× better"), (0.5, "2.00× worse"), (1.001, "the same")]
)
def test_ratios_in_words(ratio: float, words: str) -> None:
    assert ratio_in_words(ratio) == words
