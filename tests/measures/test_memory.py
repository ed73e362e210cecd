"""Peak memory: known to the byte for known networks, in fresh processes, never zero."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from stages.measures.profiling import memory_budget as headroom
from stages.measures.profiling.memory import Peak, allocated_peak, peak_memory
from stages.measures.profiling.memory_budget import Forecast, forecast_of, free_mb
from stages.measures.profiling.try_measure import Unmeasured
from tests.measures.subjects import CLASSES, PX, killed, linear

CPU = torch.device("cpu")


def test_the_peak_is_the_most_that_was_held_at_once() -> None:
    def prepare() -> object:
        kept = torch.zeros(1000)

        def work() -> None:
            first = kept + 1
            second = first + 1
            del first
            third = second + 1
            del second, third

        return work

    assert allocated_peak(prepare, calls=2) == pytest.approx(3 * 4 * 1000, rel=0.01)


def test_inference_and_training_in_fresh_processes() -> None:
    inference = peak_memory(linear, "inference", 1024, CPU, threads=1)
    training = peak_memory(linear, "training", 1024, CPU, threads=1)
    weights, images = 4 * CLASSES * 3 * PX * PX, 4 * 1024 * 3 * PX * PX
    least = (weights + images + 4 * 1024 * CLASSES) / 1e6
    assert inference.reason is None
    assert least <= inference.peak_memory_mb < 1.01 * least + 0.01
    # Gradients and both moments of AdamW are held besides.
    assert training.peak_memory_mb > inference.peak_memory_mb + 3 * weights / 1e6
    assert training.peak_resident_mb > training.peak_memory_mb
    assert "CPU allocator" in str(inference.means)


def test_a_process_killed_by_the_system_is_a_reason_and_not_a_figure() -> None:
    peak = peak_memory(killed, "inference", 2, CPU, threads=1)
    assert peak.killed
    assert peak.peak_memory_mb is None
    assert "most likely for want of memory, at batch 2" in str(peak.reason)


def test_a_process_ends_with_the_one_that_started_it() -> None:
    measure = (
        "import torch; from stages.measures.profiling.memory import peak_memory\n"
        "from tests.measures.subjects import endless\n"
        "peak_memory(endless, 'inference', 1, torch.device('cpu'), 1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", measure], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    assert parent.stdout.readline() == "building\n"
    parent.kill()
    parent.communicate()  # all that write to the pipe have ended


@pytest.mark.parametrize("group", [True, False], ids=["as a terminal", "the stage alone"])
def test_ctrl_c_waits_for_no_peak(group: bool) -> None:
    measure = (
        "import torch; from stages.core.sections import Profile\n"
        "from stages.measures.profiling.sheet import measure\n"
        "from tests.measures.subjects import endless\n"
        "measure(endless, Profile(), torch.device('cpu'), 1)"
    )
    stage = subprocess.Popen(
        [sys.executable, "-c", measure], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert stage.stdout
    assert [stage.stdout.readline() for _ in range(2)] == ["building\n"] * 2
    (os.killpg if group else os.kill)(stage.pid, signal.SIGINT)
    _, said = stage.communicate()
    assert stage.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1  # what `core.cli` makes a sentence of


def test_a_forecast_goes_through_the_measured_peak() -> None:
    forecast = forecast_of(Peak(20, peak_memory_mb=300.0), weights_mb=100.0)
    assert forecast == Forecast(100.0, 10.0)
    assert forecast.need_mb(20) == pytest.approx(1.2 * 300)
    assert forecast_of(Peak(20, reason="unknown"), 100.0) == Forecast(100.0, 0.0)


def test_a_batch_that_will_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headroom, "free_mb", lambda device: 500.0)
    Forecast(100.0, 10.0).check(30, CPU)
    with pytest.raises(Unmeasured, match="too large for memory: needs 612 MB, 500 MB are free"):
        Forecast(100.0, 10.0).check(41, CPU)
    with pytest.raises(Unmeasured, match=r"ended the measuring process.* at batch 8"):
        Forecast(0.0, 0.0, killed_at=8).check(8, CPU)


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = psutil.virtual_memory()  # for other work takes and frees memory between two readings
    monkeypatch.setattr(psutil, "virtual_memory", lambda: now)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert free_mb(CPU, tmp_path) == 2.0
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 500000\nactive_file 9\n")
    assert free_mb(CPU, tmp_path) == 2.5
    (tmp_path / "memory.max").write_text("max\n")
    assert free_mb(CPU, tmp_path) == free_mb(CPU, tmp_path / "absent")


@pytest.mark.parametrize(
    ("told", "folder", "limit_of", "used_of"),
    [
        ("0::/job/step\n", "job", "memory.max", "memory.current"),
        ("4:memory:/job/step\n3:cpu:/\n", "memory/job", "memory.limit_in_bytes",
         "memory.usage_in_bytes"),
    ],
)  # fmt: skip
def test_the_limit_of_a_job_may_be_any_on_the_way_to_its_group(
    told: str, folder: str, limit_of: str, used_of: str, tmp_path: Path
) -> None:
    """As Slurm and systemd set it, in both versions of control groups."""
    groups = tmp_path / "cgroup"
    groups.write_text(told)
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / limit_of).write_text("3000000\n")
    (tmp_path / folder / used_of).write_text("1000000\n")
    assert free_mb(CPU, tmp_path, groups) == 2.0
