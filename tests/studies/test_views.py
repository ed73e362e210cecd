"""Data sets and machines on one page: what is set side by side and what never meets."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.core import files
from stages.core.errors import RunError
from stages.studies.analysis.reading import read_results
from stages.studies.page.page import page_view, write_page
from stages.studies.spec.identity import work_of
from stages.studies.spec.study_config import StudyConfig
from stages.studies.spec.study_source import load_study_source
from tests.studies.samples import STORY, fill, make_study, write_cell

TEN = [f"kind {i}" for i in range(10)]
HUNDRED = [f"sort {i}" for i in range(100)]
CLAIMS = [
    {"claim": "good plain beats fair plain", "source": "80 against 70 %"},
    {"claim": "good fine beats fair fine", "source": "60 against 50 %"},
    {"claim": "good plain beats good fine", "source": "of two data sets"},
]


def study(root: Path, **more: Any) -> StudyConfig:
    """Two backbones at one size, with a story that names no others."""
    form = make_study(root, models=("good", "fair"), sizes=(100,), **more)
    reported = [{"model": "good", "size": 100, "top1": 0.8}]
    told = {
        **STORY,
        "reported": reported,
        "claims": CLAIMS if "fine" in more.get("recipes", ()) else CLAIMS[:1],
    }
    files.write_text(root / "studies/made/study.yaml", yaml.safe_dump(told))
    return form


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, Mapping[str, Any]]:
    """The page, in Markdown and HTML and as a view, of 10 and 100 classes at one size."""
    root = tmp_path_factory.mktemp("both")
    hundred = {"dataset": {"name": "cifar100"}, "input_size": 64}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        form = study(root, recipes={"plain": {}, "fine": hundred})
        for cell in form.cells:
            kind = {"classes": TEN, "dataset": "tens"}
            if cell.recipe == "fine":
                kind = {"classes": HUNDRED, "dataset": "hundreds"}
            write_cell(form, cell.name, "aaaa-1111", images_per_class=10, **kind)  # type: ignore[arg-type]
        write_page("made")
        view = page_view(form, load_study_source(form), read_results(form))
    folder = root / "studies/made"
    return (folder / "report.md").read_text(), (folder / "report.html").read_text(), view


def test_each_data_set_has_sections_of_its_own(both: tuple[str, str, Mapping[str, Any]]) -> None:
    text, html, view = both
    assert [part["name"] for part in view["sections"]] == ["tens", "hundreds"]
    tens, hundreds = text.split("\n## tens\n")[1].split("\n## hundreds\n")
    hundreds = hundreds.split("\n## Machines\n")[0]
    for own, recipe, other, px in ((tens, "plain", "fine", 32), (hundreds, "fine", "plain", 64)):
        assert f"good {recipe}" in own
        assert f"good {other}" not in own
        assert f"MACs (M) at {px} px" in own
        for head in ("Which one to take", "Results", "Cost", "Overfitting", "Classes"):
            assert f"### {head}\n" in own
    assert "kind 9" in tens
    assert "sort 99" in hundreds
    assert '<h2 class="part" id="part-2">hundreds</h2>' in html


def test_one_name_with_other_classes_is_another_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = study(tmp_path, recipes={"plain": {}, "fine": {"input_size": 64}})
    for cell in form.cells:
        classes = HUNDRED if cell.recipe == "fine" else TEN
        write_cell(form, cell.name, "aaaa-1111", images_per_class=10, classes=classes)
    view = page_view(form, load_study_source(form), read_results(form))
    names = [part["name"] for part in view["sections"]]
    assert names == ["made-up (10 classes)", "made-up (100 classes)"]


def test_what_all_data_sets_share_stands_once(both: tuple[str, str, Mapping[str, Any]]) -> None:
    text, html, view = both
    for head in ("The source's claims", "Machines", "At the source", "Repeat it"):
        assert text.count(f"## {head}\n") == 1
    ids = re.findall(r' id="(results[^"]*|part[^"]*|advice[^"]*)"', html)
    assert len(ids) == len(set(ids)) == 6
    labels = [tile.label for tile in view["tiles"]]
    assert labels[:2] == ["tens, highest at 100 images", "hundreds, best at 100 images"]
    assert "Full form on tens: 100 training and 100 test images; hundreds: 100 training" in text


def test_claims_are_judged_within_a_data_set(both: tuple[str, str, Mapping[str, Any]]) -> None:
    _, _, view = both
    verdicts = [row[2] for row in view["claims"].rows]
    assert "not run" not in verdicts[:2]
    assert verdicts[2] == "not run"


def test_the_source_is_held_against_one_data_set(
    both: tuple[str, str, Mapping[str, Any]],
) -> None:
    _, _, view = both
    (row,) = view["reported"].rows
    assert row[3].cells == ("good-100-plain-0", "good-100-plain-1")


def test_the_pixels_are_given_in_each_row_where_they_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = study(tmp_path, recipes={"plain": {}, "fine": {"input_size": 64}})
    fill(form)
    (part,) = page_view(form, load_study_source(form), read_results(form))["sections"]
    costs = part["costs"]
    assert costs.head[2:4] == ("MACs (M)", "input px")
    assert {row[0]: row[3] for row in costs.rows}["good fine"] == "64"
    assert "each backbone, at 100 images" in part["trade_offs"][0].caption


def test_a_branch_that_params_name_joins_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = study(tmp_path, more={"with": ["machine/mac"]})

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
                       check=True, capture_output=True)  # fmt: skip

    git("init", "-q")
    fill(form, "bbbb-2222", faster=2.0)
    git("add", ".")
    git("commit", "-qm", "other")
    fill(form)
    with pytest.raises(RunError, match="machine/mac"):
        write_page("made")
    git("remote", "add", "origin", ".")
    git("update-ref", "refs/remotes/origin/machine/mac", "HEAD")
    write_page("made")
    text = Path("studies/made/report.md").read_text()
    assert "and 1 more machine." in text
    tables = [block for block in text.split("\n\n") if block.startswith("| backbone | machine |")]
    costs, times = (block.splitlines() for block in tables)
    assert "latency p50 (ms)" in costs[0]
    assert "times the quickest epoch" in times[0]
    for table in (costs, times):
        assert [row.split(" | ")[1] for row in table[2:]] == ["1", "2"] * (len(table[2:]) // 2)


def test_a_recipe_for_the_cpu_is_paired_with_its_twin_on_the_accelerator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    form = study(tmp_path, recipes={"plain": {}, "long": {"train": {"epochs": 9}},
                                    "slow": {"device": "cpu", "threads": 2}})  # fmt: skip
    plain, long, slow = (form.params(form.cells[at]) for at in (0, 2, 4))
    assert work_of(plain) == work_of(slow) != work_of(long)
    for cell in form.cells:
        if cell.recipe == "slow":
            write_cell(form, cell.name, "cccc-1111")
        else:
            write_cell(form, cell.name, "gggg-2222", faster=4.0, backend="cuda")
    view = page_view(form, load_study_source(form), read_results(form))
    assert [row[-1] for row in view["machines"].rows] == ["1×", "0.25×"]
    rows = view["devices"].rows
    assert [row[:2] for row in rows] == [
        (f"{model} plain · machine 1", f"{model} slow · machine 2") for model in ("good", "fair")
    ]
    assert {row[-1] for row in rows} == {"4×"}
    assert rows[0][-1].cells == ("good-100-plain-0", "good-100-plain-1",
                                 "good-100-slow-0", "good-100-slow-1")  # fmt: skip
