"""A queue with a failing experiment, and two pipelines at once in one clone."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.pipeline.running import BIN, Dvc, metrics


@pytest.fixture(scope="module")
def clone(finished: Path) -> Path:
    return finished


def test_one_failing_experiment_does_not_stop_the_queue(clone: Path, dvc: Dvc) -> None:
    models = ["-S", "model=lenet_smal,lenet_small", "-S", "train.epochs=1"]
    dvc("exp", "run", "--queue", *models, "train")
    dvc("queue", "start")
    while re.search("Queued|Running", states := dvc("queue", "status").stdout):
        time.sleep(3)  # asking takes a second or two of a processor
    assert states.count("Failed") == 1
    assert states.count("Success") == 1
    drop = ["--only-changed", "--drop", ".*/|Created|run_seed"]
    lean = dvc("exp", "show", "--no-pager", *drop, COLUMNS="400").stdout
    assert "lenet_small" in lean
    assert max(len(line.rstrip()) for line in lean.splitlines()) <= 160
    failed = next(line for line in states.splitlines() if "Failed" in line).split()[0]
    log = dvc("queue", "logs", failed).stdout
    assert '`model` is "lenet_smal". Did you mean lenet_small?' in " ".join(log.split())
    assert "Traceback" not in log


def test_two_pipelines_at_once_do_not_mix(clone: Path, dvc: Dvc) -> None:
    """The second one is refused by DVC's lock, or waits; what the first makes stays whole."""
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["seed"] = 11
    (clone / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    both = [
        subprocess.Popen(
            [str(BIN / "dvc"), "repro", "train"], cwd=clone, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate()[1] for process in both]
    assert 0 in [process.returncode for process in both]
    assert not any("Traceback" in line for line in said)
    dvc("repro", "train")
    assert metrics(clone, "train")["epochs_run"] == 2
