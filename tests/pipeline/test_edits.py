"""Code and parameters that are edited between runs, and while a stage runs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.comparison.analysis.setup import setup_differences
from stages.core.params import load_params
from stages.runs.code import code_files
from stages.runs.pipeline import declared_stages
from stages.runs.run import load_run
from stages.runs.sources import open_source
from stages.runs.tree import SourceTree
from tests.pipeline.running import BIN, Dvc, stages_run

FAMILY = "from stages.models.builders import make_timm\nSPECS = ()\n"
EPOCHS = 20
ALTERNATIVES = (
    "stages.models.families.",
    "stages.datasets.sources.",
    "stages.tasks.",
    "stages.training.augmentation.",
)
SOURCE = "NAMES = ('mine',)\n\n\ndef open_collection(dataset):\n    raise NotImplementedError\n"


@pytest.fixture(scope="module")
def clone(finished: Path) -> Path:
    return finished


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def set_keys(clone: Path, section: str, **values: Any) -> None:
    path = clone / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params[section] |= values
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def edited_while_training(
    clone: Path, edit: Callable[[], object]
) -> "subprocess.CompletedProcess[str]":
    """`dvc repro evaluate` with an edit after the first epoch."""
    command = [str(BIN / "dvc"), "repro", "evaluate"]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    said = ""
    with subprocess.Popen(
        command, cwd=clone, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if line.startswith("epoch"):
                edit()
                break
        more, complaint = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, said + more, complaint)


def test_what_is_not_executed_repeats_nothing_and_a_line_what_executes_it(
    clone: Path, dvc: Dvc
) -> None:
    sources = {path: path.read_text() for path in (clone / "stages").rglob("*.py")}
    for path, text in sources.items():
        path.write_text(f'"""Said anew."""\n\n# with a comment\n{text}')
    (clone / "stages/models/families/mine.py").write_text(FAMILY)
    (clone / "stages/datasets/sources/mine.py").write_text(SOURCE)
    (clone / "stages/charts/mine.py").write_text("from stages.charts.style import chart\n")
    (clone / "stages/templates/mine.html.j2").write_text("mine")
    assert stages_run(dvc("repro", "evaluate")) == ["fingerprint"]
    append(clone / "stages/training/ema.py", "\nEDITED = 1\n")

    def edit() -> None:
        """What does not concern the training that runs is let be."""
        set_keys(clone, "profile", seconds=0.06)
        append(clone / "stages/training/loop.py", "\n# a comment\n")
        append(clone / "stages/measures/profiling/sheet.py", "\nEDITED = 1\n")

    done = edited_while_training(clone, edit)
    assert done.returncode == 0, done.stderr
    assert stages_run(done) == ["fingerprint", "train"]  # the same weights
    for path, text in sources.items():
        path.write_text(text)
    back = dvc("repro", "evaluate")  # what was made with the line as it was is in the run cache
    assert stages_run(back) == ["fingerprint"]


@pytest.mark.parametrize("name", ["download", "subset", "train", "evaluate", "profile", "report"])
def test_nothing_is_imported_that_the_identity_leaves_out(
    name: str, first_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the alternatives that were not chosen: their tables are read to find the one."""
    loaded = (first_run / "imported" / f"stages.{name}").read_text().split()
    clone = first_run / "clone"
    monkeypatch.chdir(clone)
    keys = declared_stages()[name].keys
    tree = SourceTree(clone / "stages")
    known = modules(code_files(f"stages.{name}", load_params("params.yaml"), keys, tree))
    ours = {module for module in loaded if module.split(".")[0] == "stages"}
    assert len(ours) > 10
    for alternative in ours:
        if alternative.startswith(ALTERNATIVES):
            known |= modules(tree.closure(alternative, {}))
    left_out = ours - known
    assert left_out == set()


def modules(files: Iterable[str]) -> set[str]:
    names = {path.removesuffix(".py").removesuffix("/__init__") for path in files}
    return {name.replace("/", ".") for name in names}


def test_what_is_edited_while_it_trains_refuses_the_result(clone: Path, dvc: Dvc) -> None:
    loop = clone / "stages/training/loop.py"
    before = loop.read_text()
    set_keys(clone, "train", epochs=EPOCHS, lr=0.001)

    def edit() -> None:
        set_keys(clone, "train", lr=0.01)
        append(loop, "\nEDITED = 1\n")

    done = edited_while_training(clone, edit)
    assert done.returncode != 0
    complaint = " ".join(done.stderr.split())
    told = "`train.lr` in params.yaml (from 0.001 to 0.01), stages/training/loop.py."
    assert f"error: Edited while stage train ran: {told}" in complaint
    assert "Traceback" not in complaint
    for name in ("data/weights.safetensors", "metrics/train.json", "plots/history.csv"):
        assert not (clone / name).exists()
    locked = yaml.safe_load((clone / "dvc.lock").read_text())["stages"].get("train", {})
    assert locked.get("params", {}).get("params.yaml", {}).get("train", {}).get("lr") != 0.01

    loop.write_text(before)
    set_keys(clone, "train", lr=0.001)  # undone: it goes on where it was
    assert f"going on after epoch {EPOCHS} of {EPOCHS}" in dvc("repro", "train").stdout
    assert (clone / "data/weights.safetensors").exists()


def test_results_of_a_stage_run_without_dvc_tell_what_made_them(clone: Path) -> None:
    before, lr = load_run(open_source(str(clone))), 0.0321
    set_keys(clone, "train", epochs=1, lr=lr)
    command = [sys.executable, "-m", "stages.train"]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    set_keys(clone, "train", **before.params["train"])
    after = load_run(open_source(str(clone)))
    found = {difference.key: (difference.a, difference.b)
             for difference in setup_differences(before, after)}  # fmt: skip
    assert found == {
        "train.epochs": (EPOCHS, 1), "train.lr": (before.params["train"]["lr"], lr),
    }  # fmt: skip
