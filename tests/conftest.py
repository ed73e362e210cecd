"""Fixtures shared by all tests: the repository's root and the real pictures."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

import stages  # noqa: F401  (settings that must precede torch)

settings.register_profile("project", deadline=None)  # no test asserts on time
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository under test."""
    return ROOT


@pytest.fixture(scope="session")
def real_pictures() -> Path:
    """The zip of real pictures: `BACKBONE_DNA_PICTURES`, or beside the checkout."""
    path = Path(
        os.environ.get("BACKBONE_DNA_PICTURES", ROOT.parent / "shared/data/cifar10-jpeg.zip")
    )
    if not path.is_file():
        pytest.skip(f"real pictures are absent: {path}; set BACKBONE_DNA_PICTURES to the zip")
    return path
