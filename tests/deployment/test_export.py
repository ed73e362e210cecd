"""Export: every form computes the same network without this project, and says what it is."""

import json
import re
import shutil
from pathlib import Path

import onnx
import pandas as pd
import pytest
import torch

from stages.core.params import Params
from stages.deployment.formats import FORMATS, make, others
from stages.deployment.held import Reference
from stages.deployment.int8 import int8_figures
from stages.deployment.network import Subject, subject_of
from stages.deployment.reference import reference_of
from stages.deployment.run_model import RunModel
from stages.export import main
from stages.reporting.costs import int8_sentences
from stages.runs.weights_file import About
from stages.training.trained import filled
from tests.pipeline.conftest import dvc_in
from tests.pipeline.running import metrics, stages_run
from tests.training.helpers import CLASSES, split

CPU = torch.device("cpu")


def untrained(model: str, px: int = 32, **shown: str) -> RunModel:
    """A model just drawn, as if it were a run's."""
    from stages.models import build

    about = About(
        model=model, stem="auto", input_size=px, task="classify",
        classes=[f"class {i}" for i in range(CLASSES)], precision="fp32", memory_format="auto",
        fast_kernels=True, batch_size=20, pictures_px=8,
        normalization={"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], **shown},
    )  # fmt: skip
    made = build(Params(model=model, input_size=px), CLASSES).model
    return RunModel(
        about, filled(about.params(), about, made.state_dict(), CPU, "made"), CPU, "0" * 64
    )


def snippets(root: Path) -> list[str]:
    """The Python blocks of docs/using-the-model.md."""
    text = (root / "docs/using-the-model.md").read_text("utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_whole_networks_run_as_the_docs_say(
    root: Path,
    here: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = str(tmp_path / "exported")
    assert main(["--onnx", "--int8", "--exported-program", "--out", out]) == 0
    said = capsys.readouterr()
    assert said.out.count(" test pictures get the same class as in PyTorch") == 3
    assert "another run" not in said.err
    for name in ("model.onnx", "model.pt2", "model.int8.onnx"):
        held = json.loads((tmp_path / f"exported/{name}.json").read_text())["held"]
        assert held["pictures"] == held["same_top1"] or "int8" in name
    assert main(["--onnx", "--safetensors-timm", "--out", str(tmp_path / "none")]) == 1
    assert "lenet_small is no model of timm or torchvision" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()

    shown, *_ = sorted((pictures / "any").iterdir())
    table = pd.read_csv(here / "data/predictions.csv", dtype={"predicted": str}).set_index("name")
    label, confidence = table.loc[f"any/{shown.stem}", ["predicted", "confidence"]]
    shutil.copy(shown, tmp_path / "kitten.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in snippets(root)[:2]:  # ONNX Runtime and PyTorch
        exec(snippet, names)
        found, share = capsys.readouterr().out.split()
        assert found == label
        assert float(share) == pytest.approx(confidence, rel=1e-4)


def test_the_page_tells_how_right_the_model_is_in_int8(
    first_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "clone"
    shutil.copytree(first_run / "clone", folder, symlinks=True)
    monkeypatch.chdir(folder)
    ran = dvc_in(folder)("exp", "run", "-S", "profile.variants=[int8]")
    assert stages_run(ran) == ["fingerprint", "evaluate", "profile", "report"]
    assert main(["--int8"]) == 0
    (told,) = re.findall(r"(\d+\.\d %) are right", capsys.readouterr().out)
    held = json.loads(Path("exported/model.int8.onnx.json").read_text())["held"]
    found = metrics(folder, "evaluate")
    assert found["int8_top1"] == held["correct"] / held["pictures"]
    assert [found[f"int8_{name}"] for name in ("same_top1", "lost", "gained")] == [
        held["same_top1"], held["lost"], held["gained"]
    ]  # fmt: skip
    assert held["correct"] == held["correct_eager"] - held["lost"] + held["gained"]
    page = " ".join(Path("report/report.md").read_text("utf-8").split())
    assert f"calibrated on 256 training images) {told} of the test images are right" in page
    assert re.search(r"int8 takes [\d.]+ ms at batch 1, eager [\d.]+ ms\.", page)
    assert "In int8 (ONNX Runtime" in Path("report/index.html").read_text("utf-8")
    assert "test top-1 in int8" in Path("report/model_card.md").read_text("utf-8")
    assert "int8 is fastest" not in page
    assert "int8_top1" in dvc_in(folder)("metrics", "diff").stdout


def test_branches_are_folded_and_the_library_takes_the_weights(tmp_path: Path) -> None:
    model = untrained("repvgg_a0")
    subject = subject_of(model.about, model.trained, lambda: split(8).pixels)
    reference = reference_of(model, split(40))
    for name in ("onnx", "safetensors_timm"):
        place, held = make(FORMATS[name], subject, reference, tmp_path)
        assert held.pictures == 40
        assert held.relative_difference < 1e-3
    convolutions = [node for node in onnx.load(place.parent / "model.onnx").graph.node
                    if node.op_type == "Conv"]  # fmt: skip
    assert len(convolutions) == 22
    assert len(list(model.trained.model.modules())) > len(list(subject.network.network.modules()))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_torchvision_computes_the_same_as_the_docs_say(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interpolation: str
) -> None:
    model = untrained("mobilenet_v2", interpolation=interpolation)
    subject = subject_of(model.about, model.trained, lambda: split(8).pixels)
    (tmp_path / "exported").mkdir()
    make(
        FORMATS["safetensors_timm"], subject, reference_of(model, split(40)), tmp_path / "exported"
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"pixels": split(40).pixels, "json": json}
    exec(snippets(root)[-1], names)
    logits = reference_of(model, split(40)).logits
    torch.testing.assert_close(names["logits"], logits, rtol=1e-4, atol=1e-4)


def test_files_of_another_run_are_told_and_nothing_else(tmp_path: Path) -> None:
    about = {"run": "workspace"}
    told = {"model.onnx": about, "model.pt2": {"run": "main"}, "package": {"run": "main"}}
    for name, model in told.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"model": model}))
    (tmp_path / "model.ts.pt.json").write_text("[1, 2")
    (tmp_path / "library.json").write_text("[1, 2]")
    assert others(tmp_path, about) == [
        tmp_path / name for name in ("model.pt2", "model.ts.pt", "library")
    ]


def test_a_model_that_cannot_be_quantised_says_so_on_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lacking(subject: Subject, path: Path) -> None:
        raise ValueError("no such operator")

    monkeypatch.setattr("stages.deployment.int8.write_onnx", lacking)
    model, test = untrained("lenet_small"), split(40)
    subject = subject_of(model.about, model.trained, lambda: split(8).pixels)
    found = int8_figures(subject, Reference(test, torch.zeros(40, CLASSES)))
    assert found == {"int8_reason": "ValueError: no such operator"}
    assert int8_sentences({}, found) == (
        "The accuracy in int8 was not measured: ValueError: no such operator."
    )
    assert int8_sentences({}, {}) is None


def test_what_cannot_be_written_is_one_paragraph_and_leaves_nothing(tmp_path: Path) -> None:
    from stages.core.errors import ModelError

    model = untrained("resnet18")
    subject = subject_of(model.about, model.trained, lambda: split(8).pixels)
    with pytest.raises(ModelError, match="what was changed, such as a stem"):
        make(FORMATS["safetensors_timm"], subject, reference_of(model, split(40)), tmp_path)
    assert [*tmp_path.iterdir()] == []
