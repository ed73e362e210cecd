"""Metrics files: lossless to their readers, few short rows to DVC, and no zero that is negative."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.core.metrics import all_values, read_metrics, write_metrics
from stages.measures.evaluation.split_figures import evaluate_outputs
from stages.training.inference import Inputs, Outputs

PIPELINE = """
stages:
  evaluate:
    cmd: python -c ''
    metrics:
      - evaluate.json:
          cache: false
"""


def test_what_was_written_is_read_to_the_last_bit(tmp_path: Path) -> None:
    values = {"top1": 0.9916434540389972, "seconds": -1e-9, "reason": None, "notes": {"a": "b c"}}
    write_metrics(tmp_path / "m.json", values, ["seconds", "top1"])
    assert read_metrics(tmp_path / "m.json") == values
    content = json.loads((tmp_path / "m.json").read_text())
    assert list(content) == ["seconds", "top1", "details"]
    assert (str(content["seconds"]), content["top1"]) == ("0.0", 0.99164)


def test_a_name_without_a_value_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="top1"):
        write_metrics(tmp_path / "m.json", {}, ["top1"])


@pytest.mark.parametrize("details", [None, {}, [], [1], [{}, {}]], ids=str)
def test_what_has_no_details_is_its_own_values(details: Any) -> None:
    content = {"top1": 0.5, "details": details}
    assert all_values(content) == content
    assert all_values({"top1": 0.5}) == {"top1": 0.5}


@pytest.fixture
def dvc(tmp_path: Path) -> Callable[..., str]:
    """Run DVC, or git, in a repository of one stage."""

    def call(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout

    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    call("git", "init", "-q")
    call("git", "config", "user.email", "nobody@example.org")
    call("git", "config", "user.name", "Nobody")
    call(sys.executable, "-m", "dvc", "init", "-q")
    return call


def test_a_thousand_classes_are_one_row(tmp_path: Path, dvc: Callable[..., str]) -> None:
    """From the evaluation to what `dvc metrics diff` prints: losses a hair apart are equal."""
    names = [f"class {index}" for index in range(1000)]
    labels = torch.arange(1000).repeat(2)
    for wrong in (400, 401):
        logits = torch.nn.functional.one_hot(labels, 1000).float() * 9
        logits[:wrong] = logits[:wrong].roll(1, dims=1)
        right = (logits.argmax(1) == labels)[:, None]
        seen = Inputs(2000, "", [], [], [])
        outputs = Outputs((logits,), labels[:, None], right, 1e-7 * wrong, seen)
        found = evaluate_outputs(outputs, [f"test/{i:05d}" for i in range(2000)], {"top1": names})
        write_metrics(tmp_path / "evaluate.json", found.metrics, ["test_top1", "test_loss"])
        if wrong == 400:
            dvc("git", "add", "-A")
            dvc("git", "commit", "-qm", "first")
    assert len(read_metrics(tmp_path / "evaluate.json")["top1_per_class"]) == 1000
    shown = dvc(sys.executable, "-m", "dvc", "metrics", "diff").splitlines()
    assert [line.split() for line in shown] == [
        ["Path", "Metric", "HEAD", "workspace", "Change"],
        ["evaluate.json", "test_top1", "0.8", "0.7995", "-0.0005"],
    ]
