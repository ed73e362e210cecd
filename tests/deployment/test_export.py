"""Export: every form computes the same network without this project, and says what it is."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from stages.core.errors import RunError
from stages.core.params import Params
from stages.deployment.formats import FORMATS, make, others, require_own
from stages.deployment.held import Reference
from stages.deployment.int8 import int8_figures
from stages.deployment.network import Subject, subject_of
from stages.deployment.reference import reference_of
from stages.deployment.run_model import RunModel
from stages.export import main
from stages.report import report
from stages.reporting.int8 import int8_text, int8_tiles
from stages.runs.stage import run_stage
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
    assert re.search(r"A batch of 1 takes, median: int8 [\d.]+ ms, eager [\d.]+ ms\.", page)
    assert "In int8 (ONNX Runtime" in Path("report/index.html").read_text("utf-8")
    assert "test top-1 in int8" in Path("report/model_card.md").read_text("utf-8")
    assert "int8 is fastest" not in page
    assert "int8_top1" in dvc_in(folder)("metrics", "diff").stdout

    Path("plots/pictures/filters.png").unlink()
    run_stage(report, [])
    page = " ".join(Path("report/report.md").read_text("utf-8").split())
    assert "Without some pictures: plots/pictures/filters.png missing." in page


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
    assert int8_text(found, None) == (
        "The accuracy in int8 was not measured: ValueError: no such operator."
    )
    assert int8_tiles(found) == []
    assert int8_text({}, None) is None


def test_of_unequal_classes_int8_too_is_told_counting_each_alike() -> None:
    model, test = untrained("lenet_small"), split(40)
    uneven = replace(test, labels=np.where(np.arange(40) < 36, 0, 1))
    subject = subject_of(model.about, model.trained, lambda: split(8).pixels)
    found = int8_figures(subject, Reference(uneven, torch.zeros(40, CLASSES)))
    assert {"int8_balanced_accuracy", "int8_macro_f1"} <= found.keys()
    assert [tile.label for tile in int8_tiles(found)] == [
        "test top-1 in int8", "test balanced accuracy in int8", "test macro-F1 in int8"
    ]  # fmt: skip
    alike = replace(test, labels=np.arange(40) % CLASSES)
    even = int8_figures(subject, Reference(alike, torch.zeros(40, CLASSES)))
    assert "int8_balanced_accuracy" not in even


def test_times_in_int8_stand_beside_those_of_the_network_as_it_is() -> None:
    figures = {"int8_reason": "no reason"}
    rows = pd.DataFrame(
        [("eager", 1, 2.0, None), ("onnx", 1, 0.5, "noisy: much"), ("int8", 1, 0.25, None),
         ("bf16", 64, 9.0, None), ("int8", 64, None, "failed"),
         ("reparameterized+int8", 64, 5.0, None)],
        columns=["variant", "batch_size", "latency_ms_p50", "note"],
    ).assign(mode="inference")  # fmt: skip
    assert str(int8_text(figures, rows)).partition("reason. ")[2] == (
        "A batch of 1 takes, median: int8 0.25 ms, eager 2 ms, onnx 0.5 ms. A batch of 64 takes, "
        "median: reparameterized+int8 5 ms. Some of these times are noisy: see the table."
    )


def test_what_a_user_has_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    (tmp_path / "library/novel.txt").write_text("mine")
    require_own(tmp_path, ["onnx"])
    for beside in (None, "{}", '{"mine": 1}', "[1"):
        if beside is not None:
            (tmp_path / "library.json").write_text(beside)
        with pytest.raises(RunError, match=r"library.* would be overwritten"):
            require_own(tmp_path, ["onnx", "safetensors_timm"])
    (tmp_path / "library.json").write_text('{"model": {"run": "another"}}')
    require_own(tmp_path, ["safetensors_timm"])
    (tmp_path / "model.pt2").symlink_to("nowhere")
    (tmp_path / "model.onnx.json").write_text("mine")
    for name in ("exported_program", "onnx"):
        with pytest.raises(RunError, match="would be overwritten"):
            require_own(tmp_path, [name])


def test_what_cannot_be_written_is_one_paragraph_and_leaves_nothing(tmp_path: Path) -> None:
    from stages.core.errors import ModelError

    model = untrained("resnet18")
    subject = subject_of(model.about, model.trained, lambda: split(8).pixels)
    with pytest.raises(ModelError, match="what was changed, such as a stem"):
        make(FORMATS["safetensors_timm"], subject, reference_of(model, split(40)), tmp_path)
    assert [*tmp_path.iterdir()] == []
