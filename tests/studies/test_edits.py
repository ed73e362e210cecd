"""Code and parameters that are edited between the cells of a study, and while a cell runs."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.running import BIN, ROOT, commit_all, copy_tracked, stages_run

CELL = "lenet_small-64-plain-0"
GRID = {"models": ["lenet_small"], "sizes": [64], "recipes": ["plain"], "seeds": [0]}
BASE = {
    "device": "cpu",
    "threads": 1,
    "dataset": {"name": "digits"},
    "subset": {"val": 50, "test": 100},
    "train": {"epochs": 2, "batch_size": 8, "lr": 0.001},
    "profile": {"batch_sizes": [1], "seconds": 0.05, "repeats": 1, "variants": []},
}
STORY = {"title": "Tiny", "question": "Does it run?", "source": "None."}


class Workplace:
    """A clone with one study of one cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study = folder / "studies/tiny"
        self.cell = self.study / "cells" / CELL

    def start(self, *words: str) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        return subprocess.Popen(
            words, cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*words) as started:
            told, complaint = started.communicate()
        assert started.returncode == 0, told + complaint
        return subprocess.CompletedProcess(words, 0, told, complaint)

    def cells_run(self) -> list[str]:
        """The cells that `dvc repro` runs."""
        done = self.run("dvc", "--cd", "studies", "repro", "tiny/dvc.yaml")
        return [name for name in stages_run(done) if "@" in name]

    def plan(self) -> str:
        return self.run(sys.executable, "-m", "stages.study", "plan", "tiny").stdout

    def edit(self, name: str, text: str) -> None:
        path = self.folder / "stages" / name
        path.write_text((path.read_text() if path.exists() else "") + text)

    def change(self, section: str, **values: Any) -> None:
        path = self.study / "params.yaml"
        found = yaml.safe_load(path.read_text())
        found["base"][section] |= values
        path.write_text(yaml.safe_dump(found))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("clone")
    others = (f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("studies/*/dvc.yaml"))
    copy_tracked(folder, without=("metrics/", "plots/", "dvc.lock", *others))
    made = Workplace(folder)
    made.study.mkdir()
    values = {"grids": {"main": GRID}, "base": BASE, "recipes": {"plain": {}}}
    (made.study / "params.yaml").write_text(yaml.safe_dump(values))
    (made.study / "study.yaml").write_text(yaml.safe_dump(STORY))
    commit_all(folder)
    made.run(sys.executable, "-m", "stages.study", "wire", "tiny")
    return made


def edited_while_it_runs(workplace: Workplace, edit: Callable[[], object]) -> tuple[int, str]:
    with workplace.start("dvc", "--cd", "studies", "repro", "tiny/dvc.yaml") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch"):
                edit()
                break
        _, complaint = process.communicate()
    return process.returncode, " ".join(complaint.split())


def test_an_edit_while_a_cell_runs_refuses_it_where_it_matters(workplace: Workplace) -> None:
    workplace.change("train", epochs=20)
    status, complaint = edited_while_it_runs(workplace, lambda: workplace.change("train", lr=0.01))
    assert status != 0
    told = f"Edited while cell {CELL} ran: `train.lr` in studies/tiny/params.yaml (from 0.001 to"
    assert told in complaint
    assert "Traceback" not in complaint
    assert not list(workplace.cell.glob("*"))

    workplace.change("train", lr=0.001)  # undone: it goes on from its checkpoint
    going_on = workplace.run("dvc", "--cd", "studies", "repro", "tiny/dvc.yaml").stdout
    assert "going on after epoch 20 of 20" in going_on
    assert (workplace.cell / "cell.json").exists()


def test_only_an_executed_line_makes_the_code_of_a_cell_another(workplace: Workplace) -> None:
    if not workplace.cell.exists():  # made by the test above
        assert len(workplace.cells_run()) == 1
    for path in (workplace.folder / "stages").rglob("*.py"):
        path.write_text(f'"""Said anew."""\n\n# with a comment\n{path.read_text()}')
    workplace.edit("models/families/mine.py", "SPECS = ()\n")
    workplace.edit("datasets/sources/mine.py", "NAMES = ('mine',)\n")
    workplace.edit("charts/mine.py", "from stages.charts.style import chart\n")
    workplace.edit("models/families/vit.py", "\nEDITED = 1\n")
    assert workplace.cells_run() == []
    assert "other code" not in (workplace.study / "report.md").read_text()
    workplace.edit("training/loop.py", "\nEDITED = 1\n")
    assert workplace.cells_run() == []  # cells are dear: they are kept, and told
    for text in (workplace.plan(), (workplace.study / "report.md").read_text()):
        assert "1 of 1 runs were made by other code than the present one" in text
