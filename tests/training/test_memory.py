"""Training on 20,000 small images holds them once, as bytes, and little besides."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stages.datasets.pixels import Split
from stages.training.run import training
from tests.training.helpers import params

IMAGES, PX = 20_000, 32
DATA_BYTES = 3 * PX * PX * IMAGES
ALLOWED_BYTES = 40_000_000  # besides the data: what an epoch draws, names, and counting pixels


def test_what_grows_with_the_images_is_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts what Python and NumPy hold; a batch at work is PyTorch's, and always as large.

    The resident set of the process would tell less: it depends on how threads happen to share
    the C library's heaps.
    """
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    augment = {"augment": ["crop", "flip", "color_jitter", "mixup"]}
    recipe = {"epochs": 1, "batch_size": 500, "snapshots": False, "trace_steps": 2, **augment}
    chosen = params("lenet_small", recipe)
    tracemalloc.start()
    try:
        generator = np.random.default_rng(0)
        pixels = generator.integers(0, 256, (IMAGES, 3, PX, PX), np.uint8)
        split = Split(pixels, np.arange(IMAGES) % 10, [str(row) for row in range(IMAGES)])
        with training(chosen, {"train": split}, 10, {"data": "random"}, lambda line: None):
            _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert DATA_BYTES < peak_bytes < DATA_BYTES + ALLOWED_BYTES
