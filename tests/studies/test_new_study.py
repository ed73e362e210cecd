"""A study of own pictures as `new` writes it: its files, and what is refused before any is."""

from pathlib import Path

import pytest

from stages.core import files
from stages.studies.spec.study_config import load_study_config
from stages.studies.spec.study_source import load_study_source
from stages.study import main

MINE = Path("studies/mine")


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def new(*options: str) -> int:
    return main(["new", "mine", "--folder", "pictures", *options])


@pytest.mark.parametrize("options", [[], ["--trained", "--models", "resnet18"]])
def test_claims_can_be_appended_to_its_study_yaml(options: list[str]) -> None:
    assert new(*options) == 0
    path = MINE / "study.yaml"
    claim = "claims:\n  - {claim: resnet18 reaches 90 % at full, source: a guess}\n"
    files.write_text(path, path.read_text() + claim)
    assert load_study_source(load_study_config("mine")).claims[0].source == "a guess"
