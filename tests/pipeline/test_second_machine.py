"""A fresh clone on another machine: git alone holds what a verdict needs, without DVC's cache."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.running import BIN, Dvc, metrics

pytestmark = pytest.mark.timeout(1200)  # two runs of the pipeline
OTHER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}


def call(folder: Path, *command: str, **environment: str) -> tuple[str, str]:
    """What a command that succeeds says on both its streams."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def elsewhere(clone: Path, dvc: Dvc, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with the committed results of one machine, where another has run the pipeline."""
    dvc("repro")
    call(clone, "git", "add", "-A")
    call(clone, "git", "commit", "-qm", "results")
    folder = tmp_path_factory.mktemp("elsewhere")
    call(folder, "git", "clone", "-q", str(clone), ".")
    call(folder, "dvc", "repro", **OTHER)
    return folder


def test_git_alone_gives_a_verdict_with_effect_and_interval(elsewhere: Path) -> None:
    compare = [sys.executable, "-m", "stages.compare", "HEAD", "workspace", "--json"]
    found: dict[str, Any] = json.loads(call(elsewhere, *compare)[0])
    assert found["verdict"] in ("rounding-equivalent", "bit-identical")
    answers = found["answers"]
    assert answers["images"] == metrics(elsewhere, "evaluate")["test_images"]
    assert answers["low"] <= answers["difference"] <= answers["high"]
    assert not found["missing"]
    if found["verdict"] == "rounding-equivalent":  # these instruction sets round differently here
        assert "95 % interval" in found["sentence"]
        assert "at step 1" in found["sentence"]


def test_what_travels_is_small_and_no_row_of_any_table(elsewhere: Path) -> None:
    for path, limit in (("plots/predictions.csv", 30_000), ("metrics/steps.json", 200_000)):
        assert call(elsewhere, "git", "ls-files", path)[0].strip() == path
        assert (elsewhere / path).stat().st_size < limit
    assert "steps.json" not in call(elsewhere, "dvc", "metrics", "diff")[0]


def test_the_plots_of_both_machines_are_drawn(elsewhere: Path) -> None:
    said, complained = call(elsewhere, "dvc", "plots", "diff", "HEAD", "--json")
    assert not complained
    drawn = json.loads(said)
    assert not drawn.get("errors")
    (confusion,) = drawn["data"]["plots/predictions.csv"]
    assert set(confusion["revisions"]) == {"HEAD", "workspace"}
    assert "steps.json" not in said
