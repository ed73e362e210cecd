"""Spot checks as they are kept: none is lost, however many are added at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stages.core.records import read_record
from stages.studies.run.checks import add_check
from stages.studies.spec.study_config import load_study_config


def test_checks_that_are_added_at_once_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = replace(load_study_config("lenet_to_resnet"), folder=tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    cells = [f"cell-{number:02d}" for number in range(24)]
    checks = [{"cell": cell, "made_on": "a", "machine": {"id": "a"}} for cell in cells]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda check: add_check(form, check), checks))
    kept = read_record(tmp_path / "verified.json")["checks"]
    assert [check["cell"] for check in kept] == cells
