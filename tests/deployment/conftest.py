"""A finished run of the pipeline on digits, and its test images as files."""

from pathlib import Path

import pytest
from PIL import Image

from stages.core import paths
from stages.core.params import load_params
from stages.datasets.pixels import load_splits, read_indices
from tests.pipeline.conftest import finished, first_run

__all__ = ["finished", "first_run"]


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run's folder, and working there."""
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture(scope="module")
def pictures(finished: Path) -> Path:
    """A folder with every test image under its name, and a file that is none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(finished)
        params = load_params(paths.PARAMS)
        indices = read_indices(paths.INDICES)
        test = load_splits(params.dataset, indices, params.input_size, ["test"])["test"]
    for name, pixels in zip(test.names, test.pixels, strict=True):
        path = finished / "shown" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    (finished / "shown" / "notes.txt").write_text("no picture")
    return finished / "shown"
