"""Training that is interrupted leaves nothing that looks finished, and goes on."""

import signal
import subprocess
import sys
from pathlib import Path

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
