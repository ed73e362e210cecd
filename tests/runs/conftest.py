"""A copy of the package's sources that a test may edit."""

import shutil
from pathlib import Path

import pytest

from stages.runs.tree import ROOT


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The folder of a copied package `stages`."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(ROOT, tmp_path / "stages", ignore=ignored))
