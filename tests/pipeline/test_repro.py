"""`dvc repro` from a clone to another machine and back: what a change repeats, what it spares."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.running import Dvc, metrics, stages_run


@pytest.fixture(scope="module")
def clone(finished: Path) -> Path:
    return finished


def test_the_pipeline_from_clone_to_another_machine_and_back(
    first_run: Path, clone: Path, dvc: Dvc
) -> None:
    everything = ["fingerprint", "download", "subset", "train", "evaluate", "profile", "report"]
    assert sorted(stages_run((first_run / "said.txt").read_text())) == sorted(everything)
    here = metrics(clone, "train")
    page = (clone / "report/index.html").read_text()
    assert metrics(clone, "hardware")["id"] in page
    assert "http://" not in page.replace("http://www.w3.org/", "")

    other = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
    elsewhere = stages_run(dvc("repro", "evaluate", **other))
    assert elsewhere == ["fingerprint", "train", "evaluate"]
    there = metrics(clone, "train")
    assert there["initial_weights_hash"] == here["initial_weights_hash"]

    back = dvc("repro")  # the first machine's results come out of the run cache, timings included
    assert stages_run(back) == ["fingerprint"]
    assert metrics(clone, "train") == here


INTERRUPTED = """
import os, signal, sys
from stages.runs.stage import run_stage
from stages.report import report

os.fsync = lambda file: os.kill(os.getpid(), signal.SIGINT)  # a file is written, not yet in place
sys.exit(run_stage(report, []))
"""


def test_an_interrupted_report_leaves_none(clone: Path) -> None:
    pages = clone / "report"
    for page in pages.glob("index.*"):
        page.unlink()
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=clone, check=False)
    assert done.returncode == 130
    assert not list(pages.glob("*index*"))
    assert not list(pages.glob("*.tmp*"))


@pytest.mark.parametrize(
    ("change", "spared"),
    [
        ("train.epochs=3", {"download", "subset", "profile"}),
        ("seed=7", {"download", "subset"}),
        ("subset.seed=5", {"download", "profile"}),
        ("evaluate.batch_size=100", {"download", "subset", "profile"}),
        ("profile.seconds=0.06", {"download", "subset", "train", "evaluate"}),
    ],
)
def test_a_change_repeats_only_what_depends_on_it(
    change: str, spared: set[str], clone: Path, dvc: Dvc
) -> None:
    """As dvc.yaml declares it; what DVC makes of it is DVC's and tested there."""
    pipeline = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]
    key = change.partition("=")[0]
    touched = {
        name
        for name, stage in pipeline.items()
        if any(key == param or key.startswith(f"{param}.") for param in stage.get("params", []))
    }
    made = {name: _outputs(stage) for name, stage in pipeline.items()}
    while True:
        downstream = {
            name
            for name, stage in pipeline.items()
            if any(
                set(stage.get("deps", [])) & made[source] for source in touched - {"fingerprint"}
            )
        }
        if downstream <= touched:
            break
        touched |= downstream
    assert not touched & spared


def _outputs(stage: dict[str, Any]) -> set[str]:
    listed = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in listed}
