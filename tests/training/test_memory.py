"""Training on 50,000 small images holds them once, as bytes, and little besides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES, PX = 50_000, 32
DATA_BYTES = 3 * PX * PX * IMAGES
ALLOWED_BYTES = 200_000_000  # besides the data: what an epoch draws, and names

# A process of its own, since the peak of a resident set never falls again. A small training comes
# first: libraries and a batch at work are in both, and how much of the libraries is resident is
# up to the system.
CHILD = f"""
import numpy as np
from stages.datasets.pixels import Split
from stages.measures.memory import peak_resident_bytes
from tests.training.helpers import params
from stages.training.run import training

for images in (1_000, {IMAGES}):
    pixels = np.random.default_rng(0).integers(0, 256, (images, 3, {PX}, {PX}), np.uint8)
    split = Split(pixels, np.arange(images) % 10, [str(row) for row in range(images)])
    recipe = {{"epochs": 1, "batch_size": 256, "snapshots": False}}
    augment = {{"augment": ["crop", "flip", "color_jitter", "mixup"]}}
    chosen = params("lenet_small", recipe | augment)
    with training(chosen, {{"train": split}}, 10, {{"data": str(images)}}, lambda line: None):
        print(peak_resident_bytes())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak of memory")
def test_peak_memory_grows_with_the_bytes_of_the_images_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    few, many = map(int, done.stdout.split())
    assert many - few < DATA_BYTES + ALLOWED_BYTES
