"""Training that is interrupted leaves nothing that looks finished, and goes on."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml


def start(clone: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "stages.train", "--params", "long.yaml"]
    return subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_of(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_an_interrupted_stage_leaves_nothing_that_looks_finished(finished: Path) -> None:
    """Ctrl-C and SIGTERM amid training: no weights, no metrics; the next run goes on."""
    made = [finished / "data/weights.safetensors", finished / "metrics/train.json"]
    for path in made:
        path.unlink()
    long = yaml.safe_load((finished / "params.yaml").read_text())
    long["train"] |= {"epochs": 2000, "warmup_epochs": 1}
    (finished / "long.yaml").write_text(yaml.safe_dump(long))
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(finished)
        seen = lines_of(process, 4)
        process.send_signal(number)
        _, complaint = process.communicate()
        assert process.returncode == 130, complaint
        assert "run the same command again" in " ".join(complaint.split())
        assert not any(path.exists() for path in made)
        assert seen[0].startswith("training lenet_small (0.06 M parameters)")
        assert "left" in seen[-1]
        assert seen[1].startswith("going on after epoch") == (number is signal.SIGTERM)
    again = start(finished)
    assert lines_of(again, 2)[1].startswith("going on after epoch")
    again.kill()
    again.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no process is loaded ahead")
def test_ctrl_c_is_the_stages_own_while_another_process_loads_pytorch_for_it(
    finished: Path,
) -> None:
    """A terminal sends it to both, and the other would answer with a traceback."""
    stage = subprocess.Popen(
        [sys.executable, "-m", "stages.profile"], cwd=finished, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    while not (ahead := _processes_of(stage, "forkserver")):
        assert stage.poll() is None
        time.sleep(0.01)
    time.sleep(0.1)  # until it is Python that runs in it
    os.killpg(stage.pid, signal.SIGINT)
    said, _ = stage.communicate()
    assert (stage.returncode, "Traceback" in said) == (130, False), said
    psutil.wait_procs(ahead, timeout=60)
    assert not any(process.is_running() for process in ahead)


def _processes_of(stage: "subprocess.Popen[str]", name: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(stage.pid).children():
        with suppress(psutil.Error):
            found += [process] * any(name in part for part in process.cmdline())
    return found
