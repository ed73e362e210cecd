"""Fixtures shared by all tests: the repository's root and the real pictures."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import stages  # noqa: F401  # isort: skip  (settings that must precede torch)
import torch

settings.register_profile("project", deadline=None)  # no test asserts on time
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """Threads and determinism are the whole process's: give them back after a test."""
    threads = torch.get_num_threads()
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


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
