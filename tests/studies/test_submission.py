"""What is known of cells that run here: who of them runs, and how one ended."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from stages.studies.jobs.status import status
from stages.studies.jobs.submission import LOCAL, Submission, next_folder
from stages.studies.spec.study_config import StudyConfig
from tests.studies.samples import make_study

CELLS = ["good-100-plain-0", "good-100-plain-1"]


@pytest.fixture
def form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyConfig:
    """A study of two cells, the working directory above it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return make_study(tmp_path, ("good",), (100,), more={"machines": "any"})


@pytest.fixture
def one(form: StudyConfig) -> Submission:
    """Both cells, sent to this machine."""
    sent = Submission(next_folder(form), CELLS, "HEAD", LOCAL, None)
    sent.write()
    return sent


def test_a_cell_runs_on_without_its_submitter(form: StudyConfig, one: Submission) -> None:
    prints = "import time; print('epoch 1/3', flush=True); time.sleep(600)"
    with one.printing(CELLS[0]) as log:
        cell = subprocess.Popen([sys.executable, "-c", prints], stdout=log)
    try:
        while not one.last_line(CELLS[0]):
            time.sleep(0.05)
        told = status(form)
        assert f"{CELLS[0]}  running: epoch 1/3 (its `submit` is gone; it goes on alone)" in told
        assert f"{CELLS[1]}  not begun" in told
    finally:
        cell.kill()
        cell.wait()
    assert f"{CELLS[0]}  failed: " in status(form)
