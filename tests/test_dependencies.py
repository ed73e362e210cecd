"""dvc.yaml names the code that a stage executes by its identity, and stage modules stay light."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("stage", [name for name in PIPELINE if name != "fingerprint"])
def test_a_stage_depends_on_the_identity_of_its_code(stage: str) -> None:
    """Not on folders of code, which hold what it does not execute."""
    assert {"metrics/code.json": [f"stages/{stage}"]} in PIPELINE[stage]["params"]
    assert not [dep for dep in PIPELINE[stage]["deps"] if dep.startswith("stages")]


@pytest.mark.parametrize("stage", PIPELINE)
def test_dependencies_exist_or_are_made_by_a_stage(stage: str) -> None:
    made = {
        path if isinstance(path, str) else next(iter(path))
        for other in PIPELINE.values()
        for kind in ("outs", "metrics", "plots")
        for path in other.get(kind, [])
    }
    for dep in PIPELINE[stage].get("deps", []):
        assert "${" in dep or dep in made or (ROOT / dep).exists(), dep


@pytest.mark.parametrize("stage", PIPELINE)
def test_help_loads_nothing_heavy(stage: str) -> None:
    """`--help` answers at once: it must not wait for torch, pandas or matplotlib."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"stages.{stage}", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert not loaded & {"torch", "timm", "pandas", "matplotlib", "sklearn", "scipy", "pydantic"}
    assert f"python -m stages.{stage}" in told.stdout
