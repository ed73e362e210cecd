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


TRACKED = (
    "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: "
    "There appear to be 1 leaked semaphore objects to clean up at shutdown\n"
    "  warnings.warn('resource_tracker: There appear to be %d '\n"
)
TRACED = 'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 7\n'


@pytest.mark.parametrize(
    ("log", "exit_status", "reason"),
    [
        (TRACKED, "-9", "it was ended from outside; submit again"),
        (f"epoch 1/3\n{TRACKED}", "-9", "it was ended from outside; submit again"),
        (f"Traceback of old\n{TRACKED}", "-15", "it was ended from outside; submit again"),
        ("error: Interrupted. Nothing.\n", "130", "it was ended from outside; submit again"),
        (TRACKED, "", "it ended without a word"),
        (f"epoch 1/3\n{TRACKED}", "", "it ended without a word after epoch 1 of 3; submit again"),
        ("hardware DNA a-b\n", "", "it ended without a word"),
        ("hardware DNA a-b\n", "-11", "it ended without a word"),
        (TRACED + TRACKED, "", "KeyError: 7"),
        (TRACED + TRACKED, "1", "KeyError: 7"),
        ("No module named stages\n", "1", "No module named stages"),
        (f"error: There is no CUDA device.\n{TRACKED}", "1", "There is no CUDA device."),
    ],
)
def test_a_failed_cell_tells_its_error_or_that_it_was_ended(
    form: StudyConfig, one: Submission, log: str, exit_status: str, reason: str
) -> None:
    one.log(CELLS[0]).write_text(log)
    if exit_status:
        one.ended(CELLS[0]).write_text(exit_status)
    told = f"{CELLS[0]}  failed: {reason}"
    assert any(line.startswith(told) for line in status(form).splitlines())
    assert "warn" not in status(form)
    assert one.complaint(CELLS[0]).startswith(reason)
