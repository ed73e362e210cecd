"""Two processes train as one: the same losses up to rounding, and a killed one ends the run."""

import json
from pathlib import Path

import pytest

from stages.core.errors import TrainingError
from stages.training.distributed import launch
from tests.training.distributed_child import RECIPE
from tests.training.helpers import params, run

CHILD = "tests.training.distributed_child"


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "together"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_two_processes_agree_with_one_to_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With batch norm and mixing, which both look at the whole batch."""
    out = tmp_path / "losses.json"
    launch(2, CHILD, ["shufflenet_v2_x0_5", "0", str(out)])
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "alone"))
    alone = [
        row["loss"]
        for row in run(params("shufflenet_v2_x0_5", train=RECIPE)).trained.progress.trace
    ]
    # Rounding grows from step to step; a wrong share of the batch would show in the first.
    assert json.loads(out.read_text())[:2] == pytest.approx(alone[:2], rel=1e-5)


def test_a_killed_process_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "losses.json"
    with pytest.raises(TrainingError, match="One of the 2 training processes failed"):
        launch(2, CHILD, ["lenet_small", "9", str(out)])
    assert not out.exists()
    launch(2, CHILD, ["lenet_small", "0", str(out)])
    assert "going on after epoch 1" in capfd.readouterr().out
    assert out.exists()
