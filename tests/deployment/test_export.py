"""Export: every form computes the same network without this project, and says what it is."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from stages.core.params import Params
from stages.deployment.formats import FORMATS, make
from stages.deployment.held import reference_of
from stages.deployment.network import subject_of
from stages.deployment.run_model import RunModel
from stages.export import main
from stages.runs.weights_file import About
from stages.training.trained import filled
from tests.training.helpers import CLASSES, split

CPU = torch.device("cpu")


def untrained(model: str, px: int = 32) -> RunModel:
    """A model just drawn, as if it were a run's."""
    from stages.models import build

    about = About(
        model=model, stem="auto", input_size=px, task="classify",
        classes=[f"class {i}" for i in range(CLASSES)], precision="fp32", memory_format="auto",
        fast_kernels=True, batch_size=20, pictures_px=8,
        normalization={"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
    )  # fmt: skip
    made = build(Params(model=model, input_size=px), CLASSES).model
    return RunModel(about, filled(about.params(), about, made.state_dict(), CPU, "made"), CPU)


def test_whole_networks_run_without_the_project(
    here: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forms = ["--onnx", "--int8", "--exported-program"]
    assert main([*forms, "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count(" test pictures get the same class as in PyTorch") == 3
    shown = sorted((pictures / "any").iterdir())[:3]
    pixels = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in shown])
    program = torch.export.load(tmp_path / "model.pt2").module()(torch.from_numpy(pixels))
    for name, tolerance in (("model.onnx", 1e-5), ("model.int8.onnx", 0.3)):
        session = onnxruntime.InferenceSession(tmp_path / name)
        (logits,) = session.run(None, {"pixels": pixels})
        assert np.abs(logits - program.detach().numpy()).max() < tolerance
        about = json.loads(session.get_modelmeta().custom_metadata_map["about"])
        assert (about["model"], about["pictures_px"]) == ("lenet_small", 8)
        assert about["classes"] == [*map(str, range(10))]
        held = json.loads((tmp_path / f"{name}.json").read_text())["held"]
        assert held["pictures"] == held["same_top1"] or "int8" in name
    assert main(["--safetensors-timm", "--out", str(tmp_path)]) == 1
    assert "lenet_small is no model of timm or torchvision" in capsys.readouterr().err


def test_branches_are_folded_and_the_library_takes_the_weights(tmp_path: Path) -> None:
    model = untrained("repvgg_a0")
    subject = subject_of(model, lambda: split(8).pixels)
    reference = reference_of(model, split(40))
    for name in ("onnx", "safetensors_timm"):
        place, held = make(FORMATS[name], subject, reference, tmp_path)
        assert held.pictures == 40
        assert held.relative_difference < 1e-3
    convolutions = [node for node in onnx.load(place.parent / "model.onnx").graph.node
                    if node.op_type == "Conv"]  # fmt: skip
    assert len(convolutions) == 22
    assert len(list(model.trained.model.modules())) > len(list(subject.network.network.modules()))


def test_what_cannot_be_written_is_one_paragraph_and_leaves_nothing(tmp_path: Path) -> None:
    from stages.core.errors import ModelError

    model = untrained("resnet18")
    subject = subject_of(model, lambda: split(8).pixels)
    with pytest.raises(ModelError, match="what was changed, such as a stem"):
        make(FORMATS["safetensors_timm"], subject, reference_of(model, split(40)), tmp_path)
    assert [*tmp_path.iterdir()] == []
