"""Training that is interrupted leaves nothing that looks finished, and goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def clone(finished: Path) -> Path:
    return finished


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_stage_leaves_nothing_that_looks_finished(
    signal_name: str, clone: Path
) -> None:
    """Ctrl-C in the middle of training: no weights, no metrics; the next run goes on."""
    for made in ("data/weights.safetensors", "metrics/train.json"):
        (clone / made).unlink(missing_ok=True)
    long = yaml.safe_load((clone / "params.yaml").read_text())
    long["train"] |= {"epochs": 2000, "warmup_epochs": 1}
    (clone / "long.yaml").write_text(yaml.safe_dump(long))
    command = [sys.executable, "-m", "stages.train", "--params", "long.yaml"]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    seen = [process.stdout.readline() for _ in range(4)]
    process.send_signal(getattr(signal, signal_name))
    _, complaint = process.communicate()
    assert process.returncode == 130, complaint
    assert "run the same command again" in " ".join(complaint.split())
    assert not (clone / "data/weights.safetensors").exists()
    assert not (clone / "metrics/train.json").exists()
    assert seen[0].startswith("training lenet_small (0.06 M parameters)")
    assert "left" in seen[-1]
    again = subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True)
    assert again.stdout is not None
    assert [again.stdout.readline() for _ in range(2)][1].startswith("going on after epoch")
    again.kill()
    again.communicate()
