"""A user's mistake is one paragraph and a non-zero exit, leaves no result and loses none."""

import os
import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from stages.runs.stage import run_stage
from tests.pipeline.running import BIN, Dvc, stages_run

MISTAKES = {
    "unknown model": ("train", {"model": "resnet81"}, "Did you mean resnet18?"),
    "unknown data set": ("download", {"dataset": {"name": "cifar"}}, "Did you mean cifar10?"),
    "unknown key": ("subset", {"sed": 1}, "Did you mean `seed`?"),
    "too many images": ("subset", {"subset": {"train": 100_000}}, "subset.train"),
    "zero images": ("subset", {"subset": {"train": 0}}, "at least one image is needed"),
    "absent device": ("train", {"device": "cuda:7"}, "Set `device: auto`"),
    "diverging": ("train", {"train": {"lr": 1e30}}, "became nan in epoch 1, step"),
    "last weights with patience": (
        "train",
        {"train": {"early_stopping": 3, "keep": "last"}},
        "set `keep: best`",
    ),
    "uneven shares": (
        "train",
        {"train": {"devices": 3}},
        "cannot be shared evenly by `train.devices` 3",
    ),
    "absent devices": (
        "train",
        {"train": {"devices": 4096, "batch_size": 8192}, "device": "cpu"},
        "but this machine has",
    ),
    "unreachable weights": ("train", {"pretrained": "gone.safetensors"}, "gone.safetensors"),
}


@pytest.fixture(scope="module")
def clone(finished: Path) -> Path:
    return finished


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_paragraph_and_leaves_no_result(
    mistake: str, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, as the stage's own module starts it."""
    name, change, told = MISTAKES[mistake]
    monkeypatch.chdir(clone)
    Path("metrics/train.json").unlink(missing_ok=True)
    params = yaml.safe_load(Path("params.yaml").read_text())
    for key, value in change.items():
        params[key] = {**params[key], **value} if isinstance(value, dict) else value
    changed = clone.parent / "changed.yaml"
    changed.write_text(yaml.safe_dump(params))
    stage = getattr(import_module(f"stages.{name}"), name)
    assert run_stage(stage, ["--params", str(changed)]) == 1
    complaint = " ".join(capsys.readouterr().err.split())
    assert complaint.startswith("error: ")
    assert told in complaint
    assert "Traceback" not in complaint
    assert not Path("metrics/train.json").exists()


def shell(clone: Path, command: str) -> str:
    """What a command prints, run as a user types it."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        command, shell=True, cwd=clone, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


def test_what_can_be_refused_is_refused_while_everything_is_there(clone: Path, dvc: Dvc) -> None:
    shell(clone, "git restore .")
    before = sorted(path.name for path in (clone / "data").iterdir())
    done = dvc("exp", "run", "-S", "subset.train=5000", status=255)
    assert stages_run(done) == ["fingerprint"]
    complaint = " ".join(done.stderr.split())
    assert "can be 1 to" in complaint
    assert "params.yaml now has `subset.train: " in complaint
    assert "undo with `git restore params.yaml`" in complaint
    assert shell(clone, "git status --short") == " M params.yaml\n"
    assert sorted(path.name for path in (clone / "data").iterdir()) == before


def test_the_way_back_that_is_told_leads_back(clone: Path, dvc: Dvc) -> None:
    """Also when earlier stages of the failed experiment have written other results."""
    shell(clone, "git restore .")
    weights = (clone / "data/weights.safetensors").read_bytes()
    done = dvc("exp", "run", "-S", "train.lr=1e30", "-S", "subset.train=900", status=255)
    assert not (clone / "metrics/train.json").exists()
    command = re.findall("`(git restore [^`]*dvc checkout[^`]*)`", " ".join(done.stderr.split()))
    shell(clone, command[0])
    assert shell(clone, "git status --short") == ""
    assert (clone / "data/weights.safetensors").read_bytes() == weights
    assert stages_run(dvc("repro")) == ["fingerprint"]


def test_dvc_keeps_what_the_fingerprint_wrote(clone: Path) -> None:
    """It refuses mistakes, so DVC must not remove any of its files before it runs."""
    written = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]["fingerprint"]
    outputs = [entry for kind in ("outs", "metrics", "plots") for entry in written.get(kind, [])]
    assert outputs
    assert all(next(iter(entry.values()))["persist"] for entry in outputs)
