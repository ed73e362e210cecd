"""Every model of the table trains an epoch on 200 real pictures; nothing is skipped."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.datasets.pixels import Split
from stages.models import MODELS
from stages.training.run import training
from tests.training.helpers import params


@pytest.fixture(scope="module")
def pictures(real_pictures: Path) -> Split:
    """Twenty training pictures of each of the ten classes, 32 px."""
    with zipfile.ZipFile(real_pictures) as opened:
        names = sorted(name for name in opened.namelist() if name.startswith("train/"))
        classes = sorted({name.split("/")[1] for name in names})
        chosen = [
            name for kind in classes for name in names if name.startswith(f"train/{kind}/")
            and int(Path(name).stem) < 20
        ]  # fmt: skip
        images = [np.asarray(Image.open(io.BytesIO(opened.read(name)))) for name in chosen]
    labels = [classes.index(name.split("/")[1]) for name in chosen]
    return Split(np.stack(images).transpose(0, 3, 1, 2).copy(), np.array(labels), chosen)


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS)
def test_a_model_trains_an_epoch(
    model: str, pictures: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    recipe = {"epochs": 1, "batch_size": 50, "snapshots": False, "trace_steps": 1, "lr": 1e-4}
    chosen = params(model, train=recipe, threads=2, subset={"val": 0})
    with training(chosen, {"train": pictures}, 10, {"data": "real"}, lambda line: None) as done:
        assert done.trained.progress.steps == 4
        assert math.isfinite(done.trained.progress.history[0]["train_loss"])
