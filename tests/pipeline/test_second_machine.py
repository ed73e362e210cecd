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


def call(folder: Path, *command: str, status: int = 0, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environment},
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr if command[0] != sys.executable else done.stdout


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


def compared(folder: Path, *arguments: str) -> dict[str, Any]:
    names = ["HEAD", "workspace"]
    text = call(folder, sys.executable, "-m", "stages.compare", *names, "--json", *arguments)
    value: dict[str, Any] = json.loads(text)
    return value


def test_git_alone_gives_a_verdict_with_effect_and_interval(elsewhere: Path) -> None:
    found = compared(elsewhere)
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
        assert call(elsewhere, "git", "ls-files", path).strip() == path
        assert (elsewhere / path).stat().st_size < limit
    assert "steps.json" not in call(elsewhere, "dvc", "metrics", "diff")


def test_the_plots_of_both_machines_are_drawn(elsewhere: Path) -> None:
    said = call(elsewhere, "dvc", "plots", "diff", "HEAD", "--json")
    assert "failed" not in said.lower()
    drawn = json.loads(said[said.index("{") : said.rindex("}") + 1])
    (confusion,) = drawn["data"]["plots/predictions.csv"]
    assert set(confusion["revisions"]) == {"HEAD", "workspace"}
    assert "steps.json" not in said
