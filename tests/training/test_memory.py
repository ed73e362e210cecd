"""Training on 50,000 small images holds them once, as bytes, and little besides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES, PX = 50_000, 32
DATA_BYTES = 3 * PX * PX * IMAGES
ALLOWED_BYTES = 1_000_000_000  # besides data and model: PyTorch's libraries and a batch at work

# A process of its own, since the peak of a resident set never falls again.
CHILD = f"""
import numpy as np
from stages.datasets.pixels import Split
from stages.measures.memory import peak_resident_bytes
from tests.training.helpers import params
from stages.training.run import training

pixels = np.random.default_rng(0).integers(0, 256, ({IMAGES}, 3, {PX}, {PX}), np.uint8)
split = Split(pixels, np.arange({IMAGES}) % 10, [str(row) for row in range({IMAGES})])
recipe = {{"epochs": 1, "batch_size": 256, "augment": ["crop", "flip", "color_jitter", "mixup"]}}
chosen = params("lenet_small", recipe | {{"snapshots": False}})
with training(chosen, {{"train": split}}, 10, {{"data": "random"}}, lambda line: None):
    print(peak_resident_bytes())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's peak of memory")
def test_peak_memory_stays_near_the_data(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < DATA_BYTES + ALLOWED_BYTES
