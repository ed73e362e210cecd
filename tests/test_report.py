"""The report: whole, self-contained, the same twice, and standing whatever is missing."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages.core import paths
from stages.core.errors import RunError
from stages.core.params import Params, load_params
from stages.measures.evaluation.accuracy import wilson_interval
from stages.report import report
from stages.reporting.headline import WRITTEN_BY, notes, tiles
from stages.runs.run import read_strictly
from stages.runs.sources import open_source
from tests.run_files import class_names, history, write_run

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Balance(HTMLParser):
    """Collects tags that are opened or closed out of turn, text, and links to outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and not (value or "").startswith(
                ("#", "data:")
            ):
                self.outside.append(f"{tag} {name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def made(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """HTML and Markdown of the run in `root`."""
    monkeypatch.chdir(root)
    report(load_params(paths.PARAMS))
    html = (root / paths.REPORT_HTML).read_text(encoding="utf-8")
    checked = Balance()
    checked.feed(html)
    assert (checked.wrong, checked.open, checked.outside) == ([], [], [])
    return html, (root / paths.REPORT_MD).read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """What a reader sees, without style and tags."""
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_answer_is_on_the_first_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    write_run(tmp_path)
    (tmp_path / "targets.yaml").write_text((root / "targets.yaml").read_text())
    html, markdown = made(tmp_path, monkeypatch)
    first = text_of(html[: html.index("<nav>")])
    card = (tmp_path / paths.MODEL_CARD).read_text(encoding="utf-8")
    _, metadata, _ = card.split("---\n", 2)
    (found,) = yaml.safe_load(metadata)["model-index"][0]["results"]
    assert found["metrics"] == [{"type": "accuracy", "value": 0.735, "name": "test top-1"}]
    for figure in ("73.5 %", "68.5 to 78.5 %", "2.31 ms", "61.4 MB", "1.98 M", "bf4a05f4-e226ce28"):
        assert figure in first
        assert figure in markdown
        assert figure in card
    body = text_of(html)
    for part in (
        "no energy counter can be read here",
        "most bytes held by PyTorch's CPU allocator",
        "not run",
        "dvc repro",
        "3×3 in place of 7×7",
        "all but the head, from published weights of timm/x",
        "the network has no branches",
    ):
        assert part.replace("'", "&#39;") in body or part in body  # fmt: skip
    assert re.search(r"test/\d{5}", body)  # the hardest images can be traced
    assert html.count("<svg") == 10
    assert html.count("data:image/png;base64") >= 3
    assert len(html.encode()) < 3_000_000


def test_how_few_images_balanced_accuracy_rests_on_is_told(tmp_path: Path) -> None:
    write_run(tmp_path, pictures=())
    found = read_strictly(open_source(str(tmp_path)))
    assert found.per_class is not None
    uneven = found.per_class.assign(images=[3, 0, *[20] * 8])
    evaluate = dict(found.evaluate) | {"test_balanced_accuracy": 0.297}
    (tile,) = [
        one
        for one in tiles(replace(found, per_class=uneven, evaluate=evaluate))
        if one.label == "test balanced accuracy"
    ]
    assert tile.detail == "counts every class alike, the smallest by 3 images"


@pytest.mark.parametrize(("right", "learned"), [([9, 30, 30], True), ([1, 30, 2], False)])
def test_learning_shows_in_balanced_accuracy_where_it_does_in_no_accuracy(
    right: list[int], learned: bool, tmp_path: Path
) -> None:
    """A training that weighs classes alike is often below one answer to every image."""
    write_run(tmp_path, pictures=())
    found = read_strictly(open_source(str(tmp_path)))
    images = [200, 35, 35]
    ends = [wilson_interval(some, of) for some, of in zip(right, images, strict=True)]
    table = pd.DataFrame({"class": list("abc"), "images": images, "low": [low for low, _ in ends]})
    table["top1"] = [some / of for some, of in zip(right, images, strict=True)]
    evaluate = dict(found.evaluate) | {"test_top1": 0.3, "test_top1_low": 0.2,
        "test_balanced_accuracy": table["top1"].mean()}  # fmt: skip
    said = " ".join(notes(Params(), replace(found, per_class=table, evaluate=evaluate)))
    assert "top-1 is not surely above 74.1 %, the score of one answer to every image" in said
    assert ("the model may have learned nothing yet" in said) != learned
    assert ("above the 33.3 % of that" in said) == learned


def test_the_same_files_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)
    assert made(tmp_path, monkeypatch) == made(tmp_path, monkeypatch)


@pytest.mark.parametrize("path", WRITTEN_BY, ids=str)
def test_what_is_missing_is_named(path: Path, tmp_path: Path) -> None:
    write_run(tmp_path, pictures=())
    stage, what = WRITTEN_BY[path]
    (tmp_path / path).unlink()
    (tmp_path / paths.ALL_PREDICTIONS).unlink()
    said = notes(load_params(tmp_path / paths.PARAMS), read_strictly(open_source(str(tmp_path))))
    assert said == [f"Without {what}: {path} is missing. Run `dvc repro {stage}`."]


@pytest.mark.parametrize(
    "gone", [(paths.EVALUATE_METRICS, paths.HISTORY), (paths.PER_CLASS, paths.PROFILE_METRICS)]
)
def test_what_is_missing_does_not_stop_it(
    gone: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, pictures=())
    for path in gone:
        (tmp_path / path).unlink()
    html, markdown = made(tmp_path, monkeypatch)
    for path in gone:
        assert f"Without {WRITTEN_BY[path][1]}" in html
        assert f"> Without {WRITTEN_BY[path][1]}" in markdown


def test_without_the_cache_what_is_in_git_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone has the first predictions alone, when there are very many test images."""
    write_run(tmp_path)
    (tmp_path / paths.ALL_PREDICTIONS).unlink()
    table = pd.read_csv(tmp_path / paths.PREDICTIONS)
    table.head(150).to_csv(tmp_path / paths.PREDICTIONS, index=False)
    html, _ = made(tmp_path, monkeypatch)
    assert "Most frequent mistakes" in html
    assert "From the first 150 of 200 test images." in html
    assert "Names of these images" not in html


def test_nothing_at_all_is_still_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    html, markdown = made(tmp_path, monkeypatch)
    assert html.count("is missing. Run") == len(WRITTEN_BY)
    assert "Repeat it" in html
    assert "NaN" not in text_of(html) + markdown


def test_without_validation_no_best_epoch_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)
    table = history().assign(val_loss=None, val_top1=None)
    table.to_csv(tmp_path / paths.HISTORY, index=False)
    html, _ = made(tmp_path, monkeypatch)
    assert "no validation split" in html
    assert ">validation<" not in html


def test_a_model_that_may_have_learned_nothing_is_called_that(tmp_path: Path) -> None:
    write_run(tmp_path)
    run, params = read_strictly(open_source(str(tmp_path))), load_params(tmp_path / paths.PARAMS)
    assert not [note for note in notes(params, run) if "one answer" in note]
    chance = {"test_top1": 0.13, "test_top1_low": 0.09, "test_top1_high": 0.18}
    told = notes(params, replace(run, evaluate=run.evaluate | chance))[-1]
    assert "not surely above 10.0 %, the score of one answer to every image" in told


def test_the_puzzle_shows_both_its_accuracies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(
        tmp_path,
        classes=4,
        metrics=("quadrant_top1", "turn_top1"),
        params="model: shufflenet_v2_x0_5\ntask: puzzle\n",
    )
    html, markdown = made(tmp_path, monkeypatch)
    for label in ("test quadrant top-1", "test turn top-1", "puzzle task"):
        assert label in html
        assert label in markdown
    assert "Accuracy (turn top-1)" in html
    edited = "made with `model` lenet_large, which is shufflenet_v2_x0_5 in params.yaml now"
    assert edited in html
    assert "<title>lenet_large on" in html
    assert "dvc exp run -S task=puzzle" in text_of(html)


def test_a_hundred_classes_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, classes=100)
    html, _ = made(tmp_path, monkeypatch)
    assert "The 30 worst of 100 classes" in html
    assert all(f">{name}<" in html for name in class_names(100))
    assert len(html.encode()) < 1_500_000


def test_names_are_shown_and_never_taken_for_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, params="model: '<script>alert(1)</script>'\n")
    for path in (paths.PER_CLASS, paths.ALL_PREDICTIONS):
        written = (tmp_path / path).read_text().replace("class 3", "a<b>|c")
        (tmp_path / path).write_text(written)
    html, markdown = made(tmp_path, monkeypatch)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a&lt;b&gt;|c" in html
    assert "a\\<b>\\|c" in markdown


def test_damaged_files_are_told_in_a_paragraph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)
    (tmp_path / paths.ALL_PREDICTIONS).write_text("nothing,like,it\n1,2,3\n")
    with pytest.raises(
        RunError, match=r"predictions\.csv \(an older format: without confidence, label"
    ):
        made(tmp_path, monkeypatch)
    (tmp_path / paths.TRAIN_METRICS).write_text("{")
    with pytest.raises(
        RunError,
        match=r"cannot be used: metrics/train\.json \(unreadable: .*; data/predictions\.csv",
    ):
        made(tmp_path, monkeypatch)


def test_the_stage_needs_no_torch_and_its_help_nothing_heavy(tmp_path: Path, root: Path) -> None:
    write_run(tmp_path)
    watch = (
        "import runpy, sys; sys.argv = ['report', *sys.argv[1:]]\n"
        "try: runpy.run_module('stages.report', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "print('loaded:', *({'torch', 'pandas', 'matplotlib', 'timm'} & set(sys.modules)))"
    )

    def loaded(*arguments: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", watch, *arguments],
            cwd=tmp_path, capture_output=True, text=True, check=True,
            env={"PYTHONPATH": str(root), "PATH": ""},
        )  # fmt: skip
        return set(done.stdout.rpartition("loaded:")[2].split())

    assert loaded("--help") == set()
    assert loaded() == {"pandas", "matplotlib"}
    assert (tmp_path / paths.REPORT_HTML).is_file()
