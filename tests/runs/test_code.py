"""Which stages an edit concerns, found on a copy of the real sources."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from stages.core.params import Params, parse_params
from stages.core.sections import Augmentation
from stages.runs.code import AUGMENTATIONS, code_files, code_id, stage_codes
from stages.runs.code_file import read_code_file
from stages.runs.pipeline import declared_stages
from stages.runs.tree import SourceTree
from stages.tasks import task_of
from stages.training.augmentation import AUGMENTATIONS as PAIRS

ALL = {"download", "subset", "train", "evaluate", "profile", "report", "cell"}
PARAMS = parse_params({"train": {"augment": ["crop"]}}, "a test")
read_once = cache(read_code_file)  # a test edits one file: the others need not be parsed again
FAMILY = '"""A family."""\nfrom stages.models.builders import make_timm\nSPECS = ()\n'
SOURCE = '"""A source."""\nNAMES = ("mine",)\ndef open_collection(dataset): ...\n'


@pytest.fixture(autouse=True)
def _in_the_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.runs.tree.read_code_file", read_once)
    monkeypatch.chdir(root)


def identities(copied: Path, params: Params = PARAMS) -> dict[str, str]:
    """The identity of code by stage, and of a study's cell, as the copy stands."""
    tree = SourceTree(copied)
    entries = {
        name: (f"stages.{name}", declared.keys)
        for name, declared in declared_stages().items()
        if name != "fingerprint"
    }
    entries["cell"] = ("stages.studies.run.cell", None)
    return {
        name: code_id(code_files(module, params, keys, tree))
        for name, (module, keys) in entries.items()
    }


def concerned(copied: Path, edit: Callable[[], object], params: Params = PARAMS) -> set[str]:
    """What has another identity after an edit of the copy."""
    before = identities(copied, params)
    edit()
    after = identities(copied, params)
    return {name for name in before if before[name] != after[name]}


def executed_line(path: Path) -> Callable[[], object]:
    return lambda: path.write_text(path.read_text() + "\nEDITED = 1\n")


def test_comments_and_docstrings_concern_nothing(copied: Path) -> None:
    def edit() -> None:
        for path in copied.rglob("*.py"):
            path.write_text(
                f'"""Said anew."""\n# and a comment\n{path.read_text()}\n# at the end\n'
            )

    assert concerned(copied, edit) == set()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("models/families/mine.py", FAMILY),
        ("datasets/sources/mine.py", SOURCE),
        ("charts/mine.py", "from stages.charts.style import chart\n"),
        ("tasks/mine.py", "class Mine: ...\n"),
        ("training/augmentation/mine.py", "def draw(source, count): ...\n"),
        ("templates/mine.html.j2", '{% extends "base.html.j2" %}'),
    ],
)
def test_an_added_file_concerns_nothing(name: str, text: str, copied: Path) -> None:
    assert concerned(copied, lambda: (copied / name).write_text(text)) == set()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("core/params.py", ALL),
        ("runs/code_file.py", ALL),
        ("datasets/decoding.py", {"download", "train", "evaluate", "cell"}),
        ("datasets/sources/digits.py", {"download", "subset", "train", "evaluate", "cell"}),
        ("datasets/sources/cifar.py", set()),
        ("models/families/lenet.py", {"train", "evaluate", "profile", "cell"}),
        ("models/families/vit.py", set()),
        ("models/builders.py", {"train", "evaluate", "profile", "cell"}),
        ("tasks/classify.py", {"train", "evaluate", "profile", "cell"}),
        ("tasks/puzzle.py", set()),
        ("training/augmentation/geometric.py", {"train", "evaluate", "cell"}),
        ("training/augmentation/randaugment.py", set()),
        ("training/loop.py", {"train", "cell"}),
        ("measures/profiling/sheet.py", {"profile", "cell"}),
        ("measures/evaluation/calibration.py", {"evaluate", "cell"}),
        ("measures/interpretation/album.py", {"evaluate"}),
        ("charts/filters.py", {"evaluate"}),
        ("charts/bars.py", {"report"}),
        ("templates/page.css", {"report"}),
        ("templates/study.md.j2", set()),
        ("comparison/analysis/verdict.py", set()),
        ("studies/page/page.py", set()),
        ("dna/references.safetensors", {"cell"}),
        ("compare.py", set()),
    ],
)
def test_an_executed_line_concerns_what_executes_it(
    name: str, expected: set[str], copied: Path
) -> None:
    path = copied / name
    assert path.is_file()
    if path.suffix == ".safetensors":
        edit: Callable[[], object] = lambda: path.write_bytes(path.read_bytes() + b"x")  # noqa: E731
    else:
        edit = executed_line(path)
    assert concerned(copied, edit) == expected


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"model": "vit_2l_2h_128"}, "models/families/vit.py"),
        ({"dataset": {"name": "cifar100"}}, "datasets/sources/cifar.py"),
        ({"task": "puzzle"}, "tasks/puzzle.py"),
        ({"train": {"augment": ["mixup"]}}, "training/augmentation/mixing.py"),
        ({"train": {"augment": ["randaugment"]}}, "training/augmentation/color.py"),
        ({"model": "timm/resnet50"}, "models/libraries.py"),
    ],
)
def test_chosen_files_count(values: dict[str, object], name: str, copied: Path) -> None:
    params = parse_params(values, "a test")
    assert "train" in concerned(copied, executed_line(copied / name), params)


def test_every_augmentation_is_in_the_file_that_it_is_told_to_be() -> None:
    assert set(AUGMENTATIONS) == set(get_args(Augmentation))
    for name, pair in PAIRS.items():
        assert pair.draw.__module__ == f"stages.training.augmentation.{AUGMENTATIONS[name]}"


@pytest.mark.parametrize("name", ["classify", "puzzle"])
def test_a_task_is_in_the_file_of_its_name(name: str) -> None:
    task = task_of(parse_params({"task": name}, "a test"))
    assert type(task).__module__ == f"stages.tasks.{name}"


def test_stages_are_told_in_twelve_digits_and_without_torch(root: Path) -> None:
    told = stage_codes(PARAMS)
    assert set(told) == {f"stages/{name}" for name in ALL - {"cell"}}
    assert all(len(value) == 12 for value in told.values())
    asked = (
        "import sys\nfrom stages.core.params import Params\nfrom stages.runs.code import *\n"
        "stage_codes(Params())\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", asked], cwd=root, check=True)
