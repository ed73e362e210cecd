"""One real cell, one that diverges, the plan, and a study that goes on where it stopped."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from stages.comparison.analysis.evaluation import same_weights
from stages.core import files
from stages.core.errors import DataError, RunError, UserError
from stages.core.params import parse_params
from stages.core.records import write_record
from stages.runs.run import load_run
from stages.runs.sources import open_source
from stages.studies.page.page import write_page
from stages.studies.run.cell import run_cell
from stages.studies.run.machine import fingerprint
from stages.studies.run.pictures import list_pictures
from stages.studies.run.plan import plan_of
from stages.studies.run.states import FINISHED, Reason, State, state_of
from stages.studies.run.verify import verify
from stages.studies.spec.identity import identity_of, params_behind
from stages.studies.spec.new_study import new_study
from stages.studies.spec.pipeline_file import pipeline
from stages.studies.spec.study_config import StudyConfig, load_study_config

PICTURES = {"name": "image_folder", "folder": "data/images"}
BASE = {
    "input_size": 16,
    "device": "cpu",
    "threads": 1,
    "dataset": {"name": "digits", "folder": "pictures"},
    "subset": {"val": 50, "test": 100},
    "train": {"epochs": 1, "batch_size": 32, "snapshots": False, "trace_steps": 3},
    "profile": {"batch_sizes": [1], "seconds": 0.05, "repeats": 1, "variants": []},
}


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """Two recipes of one small network on digits; `wild` cannot but diverge."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    grid = {"models": ["speedrun_small"], "sizes": [64], "recipes": ["calm", "wild"], "seeds": [0]}
    wild = {"train": {"optimizer": "sgd", "lr": 1e30}}
    values = {"grids": {"main": grid}, "base": BASE, "recipes": {"calm": {}, "wild": wild}}
    files.write_text(tmp_path / "studies/tiny/params.yaml", yaml.safe_dump(values))
    story = {"title": "Tiny", "question": "Does it run?", "source": "None."}
    files.write_text(tmp_path / "studies/tiny/study.yaml", yaml.safe_dump(story))
    return load_study_config("tiny")


def test_cells_leave_results_and_a_divergence_is_one(form: StudyConfig) -> None:
    list_pictures(form)
    calm, wild = form.cells
    found = run_cell(form, calm, lambda line: None)
    folder = form.cell_folder(calm)
    predictions = pd.read_csv(folder / "predictions.csv")
    right = (predictions["label"] == predictions["predicted"]).mean()
    assert found["evaluate"]["test_top1"] == pytest.approx(right)
    assert len(predictions) == found["test_images"] == 100
    assert list(found["trace"]) == ["1", "2"]
    run = load_run(open_source(str(folder)))
    assert run.params == form.params(calm).model_dump(mode="json")
    assert run.trace is not None
    assert run.trace["grad_hash"].notna().all()
    assert same_weights(run, run)
    lost = run_cell(form, wild, lambda line: None)
    assert lost["status"] == "diverged"
    assert lost["diverged"]["epoch"] == 1
    assert (form.cell_folder(wild) / "predictions.csv").exists()
    written = (folder / "cell.json").read_text()
    assert str(form.folder.resolve()) not in written
    plan = plan_of(form)
    assert [str(one.state) for one in plan.planned] == ["finished", "diverged at epoch 1, fp32"]
    said: list[str] = []
    assert verify(form, 9, 0, said.append) == 0
    assert "2 of 2 drawn cells verified (bit by bit)" in said[-1]
    write_page("tiny")
    page = (form.folder / "report.md").read_text()
    assert "2 of 2 drawn cells verified (bit by bit)" in page
    assert "at commit unknown." in page
    whole = (folder / "predictions.csv").read_bytes()
    (folder / "predictions.csv").write_bytes(whole + b"x,0,0,1.0\n")
    with pytest.raises(RunError, match=r"predictions\.csv is damaged, so there is nothing to hold"):
        verify(form, 9, 0, said.append)
    (folder / "predictions.csv").write_bytes(whole)
    path, other = folder / "cell.json", {"train": found["train"] | {"weights_hash": "0" * 32}}
    write_record(path, found | other)
    assert verify(form, 9, 0, said.append) == 1
    assert "calm-0: other bits on the same machine" in "\n".join(said)
    moved = {"machine": found["machine"] | dict.fromkeys(("id", "declared_id"), "another")}
    write_record(path, found | other | moved)
    assert verify(form, 9, 0, said.append) == 0
    write_page("tiny")
    told = "2 of 2 drawn cells verified (bit by bit, rounding-equivalent)"
    assert told in (form.folder / "report.md").read_text()
    write_record(path, found | {"indices_sha256": "0" * 64})
    with pytest.raises(DataError, match="calm-0 was made of other pictures than are here now"):
        verify(form, 9, 0, said.append)


def test_a_cell_counts_only_for_its_machine_and_its_parameters(form: StudyConfig) -> None:
    params = form.params(form.cells[0])
    found = {"machine": {"declared_id": "aaaa"}, "params_id": "x", "status": "finished"}
    assert state_of(None, params, "aaaa", {}) == State(Reason.NOT_RUN)
    assert "is of DNA aaaa" in str(state_of(found, params, "bbbb", {}))
    assert "parameters were changed" in str(state_of(found, params, "aaaa", {}))
    listed = {"digits": {"sha256": "new"}}
    found |= {"params_id": identity_of(params), "pictures_sha256": "old"}
    assert "pictures were changed" in str(state_of(found, params, "aaaa", listed))
    assert state_of(found | {"pictures_sha256": "new"}, params, "aaaa", listed) == FINISHED
    assert state_of(found, params, "aaaa", {}) == FINISHED  # never listed here


def test_a_cell_is_made_again_with_what_it_was_made_with() -> None:
    here = parse_params({"dataset": {"folder": "here"}, "train": {"epochs": 3}}, "study")
    old = params_behind({"cell": "a"}, here)
    assert (old.train.fast_kernels, old.train.epochs) == (False, 3)
    told = {"train": {"fast_kernels": True, "epochs": 4}, "dataset": {"folder": "there"}}
    new = params_behind({"cell": "a", "params": told}, here)
    assert (new.train.fast_kernels, new.train.epochs, new.dataset.folder) == (True, 4, "here")


STAND_IN = """
import pathlib, sys
command, study, *rest = sys.argv[1:]
folder = pathlib.Path("studies") / study
with open("log.txt", "a") as log:
    print(command, *rest[1::2], file=log)
if command == "run":
    if pathlib.Path("broken").exists() and rest[-1] == "1":
        sys.exit(1)
    cell = folder / "cells" / "-".join(rest[1::2])
    for name in ("cell.json", "history.csv", "predictions.csv"):
        cell.mkdir(parents=True, exist_ok=True)
        (cell / name).write_text("{}")
if command == "fingerprint":
    (folder / "identity.json").write_text("{}")
    (folder / "hardware.json").write_text("{}")
if command == "pictures":
    (folder / "pictures.json").write_text(pathlib.Path("pictures.txt").read_text())
    (folder / "picture_notes.json").write_text("{}")
"""


def test_a_study_goes_on_where_it_stopped(form: StudyConfig) -> None:
    """With a stand-in for the work, so that DVC's part of it is quick to see."""
    values = yaml.safe_load((form.folder / "params.yaml").read_text())
    values["grids"]["main"] |= {"recipes": ["calm"], "seeds": [0, 1, 2]}
    files.write_text(form.folder / "params.yaml", yaml.safe_dump(values))
    text = pipeline(load_study_config("tiny"))
    stand_in = text.replace("python -m stages.study", f"{sys.executable} stand_in.py")
    files.write_text(form.folder / "dvc.yaml", stand_in)
    files.write_text("stand_in.py", STAND_IN)
    files.write_text("pictures.txt", "{}")
    files.write_text("broken", "")

    def dvc(*words: str) -> int:
        command = [sys.executable, "-m", "dvc", "--cd", "studies", *words]
        return subprocess.run(command, capture_output=True).returncode

    def repro() -> list[str]:
        """The seeds whose cells ran."""
        files.write_text("log.txt", "")
        assert dvc("repro", "tiny/dvc.yaml") == 0
        assert len(list(form.folder.glob("cells/*/cell.json"))) == 3
        ran = Path("log.txt").read_text().splitlines()
        assert "page" in ran
        return sorted(line.split()[-1] for line in ran if line.startswith("run"))

    assert dvc("init", "-q", "--no-scm") == 0
    assert dvc("repro", "-k", "tiny/dvc.yaml") != 0
    Path("broken").unlink()
    assert repro() == ["1"]
    shutil.rmtree(form.folder / "cells")
    (form.folder / "dvc.lock").unlink()
    assert repro() == []  # all came back from the run cache
    files.write_text("pictures.txt", '{"other": "pictures"}')
    assert repro() == ["0", "1", "2"]


def test_own_pictures_become_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grid = {"models": ["resnet18", "lenet_small"], "sizes": [100, "full"], "seeds": [0, 1]}
    told = new_study("pets", PICTURES, grid, epochs=5, px=32)
    assert "8 cells" in told
    form = load_study_config("pets")
    assert len(form.cells) == 8
    assert form.params(form.cells[0]).dataset.name == "image_folder"
    assert (form.folder / "dvc.yaml").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"sizes": ["1k"]}, "1k"), ({"seeds": []}, "seeds"), ({"models": ["resnet81"]}, "resnet18")],
)
def test_a_mistaken_study_of_own_pictures_leaves_nothing(
    wrong: dict[str, list[object]], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = {"models": ["lenet_small"], "sizes": [100], "seeds": [0]}
    with pytest.raises(UserError, match=said):
        new_study("pets", PICTURES, grid | wrong, epochs=5, px=32)
    assert not list(tmp_path.iterdir())
    new_study("pets", PICTURES, grid, epochs=5, px=32)


def test_the_fingerprint_is_that_of_the_cells(form: StudyConfig) -> None:
    machine = fingerprint(form)
    hardware = json.loads((form.folder / "hardware.json").read_text())
    assert hardware["id"] == machine
    assert (form.folder / "identity.json").exists()
