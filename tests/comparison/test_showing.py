"""A comparison as Markdown, JSON and a page."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from stages.comparison.analysis.compare_runs import Comparison, compare_runs
from stages.comparison.analysis.findings import Rung
from stages.comparison.analysis.matrix import compare_all
from stages.comparison.page.overview import overview
from stages.comparison.page.page import as_html
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.sections import sections_of, title_of
from stages.comparison.page.terminal import as_text
from stages.comparison.page.text import as_json, as_markdown, finite, markdown_table
from stages.comparison.page.values import ratio_in_words, shown, shown_pair
from stages.comparison.page.wording import sentence_of
from stages.runs.run import Run
from tests.comparison.made import made, markdown_of, predictions, readings, trace
from tests.comparison.test_step_trace import inside


@pytest.fixture
def found(tmp_path: Path) -> Comparison:
    """Two runs that differ in a bit of everything."""
    a = made(tmp_path / "a", inside=inside())
    b = made(
        tmp_path / "b",
        train={"weights_sha256": "v" * 64, "epoch_seconds_p50": 0.5},
        hardware={"cpu_capability": "AVX2", "memory_gb": 4.0},
        numerics={"readings": readings(mm="1", softmax="3"), "not_repeatable": ["index_add"]},
        trace=trace(parted=1, part="update"),
        predictions=predictions(moved=3),
        inside=inside({("module", "fc"): 1e-7}),
    )
    return compare_runs(a, b, 0.005, made(tmp_path / "t", inside=inside({("loss", "loss"): 1e-8})))  # fmt: skip  # noqa: E501


def test_every_question_has_its_section(found: Comparison) -> None:
    titles = [section.title for section in sections_of(found)]
    assert titles == [
        "What differs in the set-up", "Numeric DNA", "First divergence", "Whether it matters",
        "What it costs",
    ]  # fmt: skip


def test_markdown_begins_with_the_verdict(found: Comparison) -> None:
    text = markdown_of(found)
    assert text.splitlines()[2].startswith("**Rounding-equivalent:")
    assert "1 of 2 probed operations give other bits." in text
    assert "4.00× better" in text
    assert "Not repeatable on" in text


def test_missing_pieces_are_told_and_the_rest_answered(tmp_path: Path) -> None:
    less = dict.fromkeys(("trace", "predictions", "numerics", "profile"))
    text = markdown_of(compare_runs(made(tmp_path / "a"), made(tmp_path / "b", **less)))
    assert "lacks metrics/numerics.json" in text
    both = markdown_of(compare_runs(made(tmp_path / "c", **less), made(tmp_path / "d", **less)))
    assert "Neither run has metrics/numerics.json" in both
    assert " lacks " not in both
    assert "Without a trace of both runs the first divergence is not known." in text
    assert "Without the predictions of both runs" in text


@pytest.mark.parametrize(
    ("hardware", "told"),
    [
        ({}, "Parameters, data and machine are the same; whether code is the same is not known."),
        ({"declared_id": "dddd"}, "The machines differ in their hardware DNA."),
        ({"numeric_id": "dddd"}, "The machines differ in their hardware DNA."),
        (
            {"numeric_id": None},
            "and data are the same; whether code and machine are the same is not known.",
        ),
    ],
)
def test_a_machine_is_the_same_where_both_ids_say_so(
    tmp_path: Path, hardware: dict[str, str | None], told: str
) -> None:
    text = markdown_of(compare_runs(made(tmp_path / "a"), made(tmp_path / "b", hardware=hardware)))
    assert told in text
    assert ("data and machine are the same" in text) == (not hardware)


def test_only_what_both_tell_is_called_the_same(tmp_path: Path) -> None:
    whole = made(tmp_path / "a")
    a, b = (replace(whole, name=name, code={"train": "1"}) for name in "ab")
    assert "Parameters, data, code and machine are the same." in markdown_of(compare_runs(a, b))
    b = replace(b, params={}, code={}, hardware={}, indices_sha256=None, train={})
    said = "Whether parameters, data, code and machine are the same is not known."
    assert said in markdown_of(compare_runs(a, b))


def test_without_parameters_other_results_are_nobodys_fault(tmp_path: Path) -> None:
    """They had been called different in the order of the images, of which the seed decides."""
    a, b = made(tmp_path / "a"), made(tmp_path / "b", trace=trace(parted=1, part="forward"))
    b = replace(b, train=b.train | {"weights_sha256": "other", "weights_hash": "other"})
    b = replace(b, trace=b.trace.assign(order_hash="other"))
    a = replace(a, trace=a.trace.assign(order_hash="one"))
    assert compare_runs(a, b).verdict.rung is Rung.DIFFERENT
    b = replace(b, params={})
    verdict = compare_runs(a, b).verdict
    assert (verdict.rung, verdict.exit_status) == (Rung.UNDECIDED, 2)
    told = "Not decided: whether both runs had the same parameters is not known. Different in the "
    assert sentence_of(verdict).startswith(told)
    b = replace(b, hardware=b.hardware | {"seed": 1})
    a = replace(a, hardware=a.hardware | {"seed": 0})
    verdict = compare_runs(a, b).verdict
    assert verdict.rung is Rung.INPUTS_DIFFER
    assert "Inputs differ: seed (0 against 1)" in sentence_of(verdict)


def test_json_holds_every_answer(found: Comparison) -> None:
    value = json.loads(json.dumps(finite(as_json(found)), allow_nan=False))
    assert value["verdict"] == "rounding-equivalent"
    assert value["exit_status"] == 0
    assert value["fault"] is None
    assert (value["rounding_until_step"], value["steps"], value["not_shown"]) == (12, 12, [])
    assert value["causes"][0] == {
        "code": "cpu_capability",
        "a": "AVX512",
        "b": "AVX2",
        "probes": [],
    }
    assert value["first_divergence"]["step"] == 1
    assert value["answers"]["churn"] == 0.03
    assert value["numerics"]["changed"] == {"softmax and losses": ["softmax"]}
    assert {cost["name"] for cost in value["costs"]} >= {"epoch_seconds_p50"}


def test_numbers_that_json_lacks_become_null() -> None:
    assert finite({"a": [float("nan"), (1.0, float("inf"))]}) == {"a": [None, [1.0, None]]}


def test_the_page_stands_alone(found: Comparison) -> None:
    page = as_html(found)
    assert "<svg" in page
    assert "Distance of the weights" in page
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert page.count("<h2") == 5


def test_names_in_sentences_are_code_on_the_page(found: Comparison) -> None:
    more = Section("more", "More", ("Look at `a<b`.",))
    assert "Look at <code>a&lt;b</code>." in as_html(found, [more])


def test_names_in_tables_and_tiles_are_code_and_verdicts_have_their_colour(tmp_path: Path) -> None:
    far = trace(parted=2, distance=0.1)
    found = compare_runs(
        made(tmp_path / "a"), made(tmp_path / "b", train={"weights_sha256": "v" * 64}, trace=far)
    )
    grid = Grid(("", "b"), (("a", "different, churn 1.00%"), ("in `conv`", "differential")))
    page = as_html(found, [Section("more", "More", (), (grid,))])
    assert "`" not in page
    assert "<td>in <code>conv</code></td>" in page
    assert '<td><span class="different">different, churn 1.00%</span></td>' in page
    assert "<td>differential</td>" in page
    assert '<header class="different">' in page
    assert "Rounding grows" not in page


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_is_never_overrun(found: Comparison, width: int) -> None:
    text = as_text(title_of(found), sections_of(found), found.verdict, width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    assert "Rounding-equivalent: same data and initial weights;" in words
    assert "the same" not in text.partition("What it costs")[2]


def test_how_noisy_the_times_were_is_told_beside_them(tmp_path: Path) -> None:
    noise = "noisy: the medians of 5 repeats span 40%"
    a = made(tmp_path / "a", profile={"latency_note": noise})
    b = made(tmp_path / "b", train={"epoch_seconds_p50": 0.5})
    text = markdown_of(compare_runs(a, b))
    assert "Times are of one measurement each" in text
    assert f"Latency of {a.name}: {noise}." in text
    assert f"Latency of {b.name}" not in text
    shown = as_markdown("", overview(compare_all([a, b, a], 0.005), [a, b, a]))
    assert f"{a.name}: {noise}." in shown.partition("What it costs")[2]


def test_long_names_are_not_broken_over_columns(found: Comparison) -> None:
    name = "studies/transfer/machines/e5ce85d5-020670df/efficientnet_lite2-500-probe-0"
    long = replace(found, a=replace(found.a, name=name), b=replace(found.b, name=f"{name}/b"))
    heads = {head for one in sections_of(long) for grid in one.grids for head in grid.head}
    assert {"first run", "second run", "second run is"} <= heads
    assert not any(name in head for head in heads)


def test_a_wide_matrix_is_broken_into_parts(tmp_path: Path) -> None:
    records = [Run(f"machine-{letter}") for letter in "abcdefghij"]
    text = as_text("Many", overview(compare_all(records, 0.005), records), width=100)
    assert max(map(len, text.splitlines())) <= 100
    matrix = text.partition("Every pair")[2].partition("What it costs")[0]
    heads = [line.split() for line in matrix.splitlines() if line.startswith("  ") and "-" in line]
    assert len(heads) > 1
    assert [name for head in heads for name in head] == [record.name for record in records[1:]]
    assert matrix.count("decided") == 45


def test_runs_stand_in_the_order_of_the_arguments(found: Comparison) -> None:
    a, b = "mine", "theirs"
    short = replace(found, a=replace(found.a, name=a), b=replace(found.b, name=b))
    assert title_of(short) == f"{a} compared with {b}"
    grids = [grid for section in sections_of(short) for grid in section.grids]
    heads = [grid.head for grid in grids if {a, b} <= {*grid.head}]
    assert len(heads) >= 3
    assert all(head.index(a) < head.index(b) for head in heads)


def test_hashes_are_cut_and_lists_shown_by_what_differs() -> None:
    assert shown("0123456789abcdef" * 4) == "0123456789ab"
    assert [shown(value) for value in (None, 0.1, "AMD EPYC", True)] == ["–", "0.1", "AMD EPYC", "True"]  # fmt: skip  # noqa: E501
    assert shown_pair("cpu_features", "avx avx2 sse4a", "avx avx2") == (
        "cpu_features, in one alone", "sse4a", "none",
    )  # fmt: skip
    assert shown_pair("chip", "A b", "A c") == ("chip", "A b", "A c")


def test_tables_keep_bars_in_their_cells() -> None:
    lines = markdown_table(Grid(("a", "b"), (("x|y", "1"),), (1,))).splitlines()
    assert lines == ["| a    |   b |", "| ---- | --: |", "| x\\|y |   1 |"]


def test_the_matrix_is_a_table(tmp_path: Path) -> None:
    records = [made(tmp_path / name) for name in "abc"]
    pairs = compare_all(records, 0.005)
    text = as_markdown("", overview(pairs, records))
    assert text.count("bit-identical, churn 0.00%, +0.00 points") == 3
    assert text.index("Every pair") < text.index("What was found")
    assert "1.00×" in text


def test_the_matrix_says_what_is_not_known(tmp_path: Path) -> None:
    records = [Run(name) for name in "abc"]
    text = as_markdown("", overview(compare_all(records, 0.005), records))
    assert text.count("| –") >= 3


@pytest.mark.parametrize(
    ("ratio", "words"), [(4.5, "4.50× better"), (0.5, "2.00× worse"), (1.001, "the same")]
)
def test_ratios_in_words(ratio: float, words: str) -> None:
    assert ratio_in_words(ratio) == words
