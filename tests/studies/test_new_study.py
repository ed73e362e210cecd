"""A study of own pictures as `new` writes it: its files, and what is refused before any is."""

from pathlib import Path

import pytest

from stages.core import files
from stages.studies.spec.study_config import load_study_config
from stages.studies.spec.study_source import load_study_source
from tests.studies.test_new_options import new, repository

__all__ = ["repository"]  # in a repository of its own

MINE = Path("studies/mine")


def test_a_folder_without_pictures_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    empty = Path("nothing")
    empty.mkdir()
    (empty / "notes.txt").write_text("soon")
    assert new("--folder", str(empty), "--sizes", "10") == 0
    assert (
        f"There are no pictures in {empty} yet: put them there first, or" in capsys.readouterr().out
    )


@pytest.mark.parametrize("options", [[], ["--trained", "--models", "resnet18"]])
def test_claims_can_be_appended_to_its_study_yaml(options: list[str]) -> None:
    assert new(*options) == 0
    path = MINE / "study.yaml"
    claim = "claims:\n  - {claim: resnet18 reaches 90 % at full, source: a guess}\n"
    files.write_text(path, path.read_text() + claim)
    assert load_study_source(load_study_config("mine")).claims[0].source == "a guess"
