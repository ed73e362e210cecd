"""Two processes train as one: the same losses up to rounding, and a killed one ends the run."""

import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.comparison.analysis.compare_runs import compare_runs
from stages.comparison.analysis.coverage import PERTURBED_FACTOR, STILL_ONE
from stages.comparison.analysis.findings import Rung
from stages.comparison.analysis.growth import weight_growth
from stages.comparison.analysis.step_trace import places_at
from stages.core.errors import DeviceError, TrainingError
from stages.runs.run import Run
from stages.runs.schema import INSIDE_COLUMNS, STEP_COLUMNS, TENSOR_COLUMNS
from stages.runs.steps import as_table
from stages.training.checkpoint import run_key
from stages.training.distributed import launch, process_group, require_processes
from stages.training.recorder import Record
from tests.comparison.made import predictions, trained
from tests.training.distributed_child import RECIPE
from tests.training.helpers import params

CHILD = "tests.training.distributed_child"


@pytest.fixture(autouse=True)
def _own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


Found = tuple[Record, str | None, list[str]]
"""What was recorded, the reason to fall back, and what was told."""
SMOOTH = "timm/test_efficientnet"
FALLING = {"precision": "bf16", "on_nonfinite": "fp32", "poison": True, "dropout": 0.2}


def together(folder: Path, *trainings: tuple[str, dict[str, Any]]) -> list[Found]:
    """What comes of trainings by two processes, one after the other."""
    out = folder / "found.pickle"
    launch(2, CHILD, [str(out), json.dumps(trainings)])
    found: list[Found] = pickle.loads(out.read_bytes())
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """Trainings of one pair of processes, for these take long to start.

    An earlier pair has begun `killed` and lost a process in it.
    """
    folder = tmp_path_factory.mktemp("together")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        patch.setenv("OMP_NUM_THREADS", "1")
        with pytest.raises(TrainingError, match="One of the 2 training processes failed"):
            together(folder, ("lenet_small", {"die_at": 9}))
        trainings = {
            "smooth": (SMOOTH, {"snapshots": True}),
            "fallen": ("lenet_small", FALLING),
            "plain": ("lenet_small", {"dropout": 0.2}),
            "killed": ("lenet_small", {}),
        }
        return dict(zip(trainings, together(folder, *trainings.values()), strict=True))


def as_run(left: Record, alone: Run) -> Run:
    """The record of a run that differs from `alone` by its devices and by what was computed."""
    assert alone.params is not None
    return replace(
        alone,
        name="together",
        params=alone.params | {"train": alone.params["train"] | {"devices": 2}},
        trace=as_table(left.trace, STEP_COLUMNS),
        tensors=as_table(left.tensor_trace, TENSOR_COLUMNS),
        inside=as_table(left.inside, INSIDE_COLUMNS),
    )


def test_two_processes_are_one_up_to_rounding(found: dict[str, Found]) -> None:
    """With batch norm and mixing, which both look at the whole batch.

    How far rounding may take them is what one ULP does in the same training on this machine, up
    to the factor that the verdict allows: it takes them 1 to 5 times as far, and a batch wrongly
    shared 4,000 times and more. The network is smooth, for one ULP and rounding need not do alike
    where a ReLU switches over.
    """
    left, _, _ = found["smooth"]
    recipe = RECIPE | {"snapshots": True}
    one, twin = (
        trained("alone", model=SMOOTH, train=recipe | {"perturb_one_ulp": twin})
        for twin in (False, True)
    )
    one = replace(one, predictions=predictions())
    other = as_run(left, one)
    distance, ulp = weight_growth(one, other), weight_growth(one, twin)
    assert distance is not None
    assert ulp is not None
    assert distance.steps == ulp.steps == tuple(range(1, 13))
    times = [a / b for a, b in zip(distance.distance, ulp.distance, strict=True)]
    assert max(times) < PERTURBED_FACTOR, times
    outputs = next(place for place in places_at(one, twin, 1) if place.name == "(model)")
    assert one.trace is not None
    loss = pytest.approx(one.trace["loss"][0], rel=PERTURBED_FACTOR * outputs.rounding)
    assert left.trace[0]["loss"] == loss
    kinds = {row["kind"] for row in left.inside}
    assert kinds == {"gradient", "update", "weights", "kept"}  # the whole batch's on each of both
    compared = compare_runs(one, other)
    assert compared.verdict.fault is None
    # Shown as long as the weights are those of one model: on an AMD EPYC all 12 steps, on an Intel
    # Xeon, where one ULP goes further, 9.
    shown = sum(apart <= STILL_ONE for apart in distance.distance)
    assert shown >= 6
    assert compared.verdict.rounding_until == shown
    expected = Rung.ROUNDING if shown == 12 else Rung.UNDECIDED
    assert compared.verdict.rung is expected, compared.verdict
    assert compared.verdict.divergence is not None
    assert compared.verdict.divergence.part == "forward"
    assert compared.verdict.gradient_distance


def test_two_processes_with_dropout_repeat_themselves_after_a_fall_back(
    found: dict[str, Found],
) -> None:
    """Masks differ between the processes and not between runs; one group serves both attempts."""
    fallen, reason, _ = found["fallen"]
    assert reason == "diverged in epoch 1, step 3, at bf16"
    plain, reason, _ = found["plain"]
    assert reason is None
    assert fallen.trace == plain.trace
    undropped = trained("alone", train=RECIPE).trace
    assert undropped is not None
    assert plain.trace[0]["loss"] != pytest.approx(undropped["loss"][0], rel=1e-5)


def test_a_killed_process_ends_the_run_and_the_next_goes_on(found: dict[str, Found]) -> None:
    left, _, told = found["killed"]
    assert any(line.startswith("going on after epoch 1") for line in told)
    assert left.trace[-1]["step"] == 12


def test_mps_cannot_share_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    wanted = pytest.raises(DeviceError, match=r"train\.devices: 1.*device: cpu")
    with wanted, process_group(torch.device("mps")):
        pass


def test_more_processes_than_the_run_tells_of_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_processes(1)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    require_processes(2)
    with pytest.raises(DeviceError, match=r"started 2 processes .*`--nproc-per-node 1`"):
        require_processes(1)


def test_another_number_of_processes_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = set()
    for processes in ("2", "4"):
        monkeypatch.setenv("WORLD_SIZE", processes)
        keys.add(run_key(params(train={"devices": 2}), {}))
    assert len(keys) == 2


def test_ctrl_c_ends_all_processes_without_a_traceback() -> None:
    # Not at once: torchrun knows nothing of a child while it starts it, and would leave it behind.
    child = ["--no-python", "sh", "-c", "sleep 3; kill -INT $PPID; sleep 600"]
    command = [sys.executable, "-m", "stages.training.torchrun", "--standalone"]
    done = subprocess.run(
        [*command, "--nproc-per-node", "1", *child], capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == ""
