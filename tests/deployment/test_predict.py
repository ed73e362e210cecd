"""Predict: the answers of evaluation, for files, folders and zips; one paragraph for a mistake."""

import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.core.params import Params
from stages.core.records import write_record
from stages.core.sections import Dataset, Train
from stages.export import main as export
from stages.predict import main

ROOT = Path(__file__).parents[2]


def test_answers_are_those_of_the_evaluation(
    here: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(pictures), "--top", "1", "--csv", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert said.err == "not taken for pictures: 1 .txt\n"
    rows = pd.read_csv(io.StringIO(said.out), dtype={"class": str}).set_index("picture")
    recorded = pd.read_csv(here / "data/predictions.csv", dtype={"predicted": str})
    found = rows.loc[[f"{pictures}/{name}.png" for name in recorded["name"]]]
    assert len(found) == len(recorded) > 250  # a whole batch and a part of one
    assert found["class"].tolist() == recorded["predicted"].tolist()
    confidence = recorded["confidence"].to_numpy(np.float32)
    assert np.array_equal(found["probability"].to_numpy(np.float32), confidence)


def test_a_zip_and_a_revision_and_every_class(
    here: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fewer pictures are a smaller batch: the last digits may differ."""
    one, *_ = sorted((pictures / "any").iterdir())
    (tmp_path / "some").mkdir()
    shutil.copy(one, tmp_path / "some" / one.name)
    shutil.make_archive(str(tmp_path / "some"), "zip", tmp_path, "some")
    names = [str(one), str(tmp_path / "some.zip")]
    assert main([*names, "--run", "HEAD", "--top", "99", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"]["run"], told["model"]["model"]) == ("HEAD", "lenet_small")
    first, second = told["pictures"]
    assert second["picture"] == f"{names[1]}/some/{one.name}"
    assert first["answers"] == second["answers"]
    assert sorted(answer["class"] for answer in first["answers"]) == [*map(str, range(10))]
    assert sum(answer["probability"] for answer in first["answers"]) == pytest.approx(1)
    recorded = pd.read_csv(here / "data/predictions.csv").set_index("name")
    best = recorded.loc[f"any/{one.stem}", "confidence"]
    assert first["answers"][0]["probability"] == pytest.approx(best, rel=1e-5)


def test_what_is_no_picture_is_named_and_the_others_are_answered(
    here: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, *_ = sorted((pictures / "any").iterdir())
    (here / "film.mp4").touch()
    os.truncate(here / "film.mp4", 3 * 10**9)
    shown = [str(one), str(pictures / "notes.txt"), "film.mp4"]
    (here / "bad.zip").write_bytes(b"PK\3\4 and no end")
    (here / "none").mkdir()
    assert main(["gone.jpg", "bad.zip", "none", *shown, "--top", "1"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{one}: ")
    assert said.out.endswith(" %\n")
    assert "5 of 6 pictures cannot be read: gone.jpg (it is gone" in " ".join(said.err.split())
    assert "bad.zip (bad.zip is a file but no complete zip" in " ".join(said.err.split())
    assert "none (none holds no pictures: it is empty)" in " ".join(said.err.split())
    assert "it is no picture of a known format" in " ".join(said.err.split())
    assert "film.mp4 (it has 3,000 MB, more than" in " ".join(said.err.split())


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_are_in_one_line_and_told_where_they_are_not_utf_8(
    here: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, *_ = sorted((pictures / "any").iterdir())
    (here / "odd").mkdir()
    for name in (b"a\nb.png", b"caf\xe9.png"):
        shutil.copy(one, os.fsdecode(os.fsencode(here / "odd") + b"/" + name))
    assert main(["odd", "--top", "1"]) == 0
    said = capsys.readouterr()
    assert [line.partition(":")[0] for line in said.out.splitlines()] == [
        "odd/a␊b.png",
        "odd/café.png",
    ]
    assert main([os.fsdecode(os.fsencode(here / "odd") + b"/caf\xe9.png"), "--top", "1"]) == 0
    assert capsys.readouterr().out.startswith(f"{here / 'odd'}/café.png: ")
    assert said.err.startswith("odd: names of files that are not UTF-8 are read as Latin-1 (1)")


def test_a_name_that_can_be_none_hinders_no_other(
    here: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is too long, and an empty one; a picture with a zip behind it is a picture."""
    one, *_ = sorted((pictures / "any").iterdir())
    both = io.BytesIO()
    with zipfile.ZipFile(both, "w") as archive:
        archive.writestr("a.txt", "a")
    (here / "both.png").write_bytes(one.read_bytes() + both.getvalue())
    assert main(["n" * 300, "", str(here / "both.png"), "--top", "1"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{here / 'both.png'}: ")
    assert "2 of 3 pictures cannot be read" in " ".join(said.err.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.jpg"], "There is no absent.jpg."),
        (["empty"], "empty holds no pictures: it is empty."),
        (["cut.zip"], "cut.zip is a file but no complete zip"),
        (["stages/predict.py", "--run", "no-such"], "There is no run called 'no-such'"),
        (["stages/predict.py", "--run", "empty"], "empty has no data/weights.safetensors"),
        (["stages/predict.py", "--device", "gpu"], "`device` is gpu; it must be auto, cpu,"),
        (["stages/predict.py", "--device", "cuda:99"], "`device` is cuda:99, but "),
    ],
)  # fmt: skip
def test_mistakes_are_one_paragraph(
    arguments: list[str], told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty").mkdir(exist_ok=True)
    (here / "cut.zip").write_bytes(b"PK\3\4 and no end")
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert told in " ".join(said.split())


def test_a_cell_of_a_study_says_which_command_trains_its_model(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = Params(model="swin_tiny", train=Train(epochs=7)).model_dump(mode="json")
    keys = ("cell", "model", "size", "recipe", "status", "dataset", "task", "params_id")
    cell = (
        dict.fromkeys(keys, "a")
        | {"seed": 0, "cell_seconds": 9.0}
        | {"machine": {"id": "x", "declared_id": "x"}, "params": params}
    )
    write_record(tmp_path / "cell.json", cell)
    assert export(["--onnx", "--run", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "keeps figures and answers but no weights" in " ".join(said.split())
    (command,) = [line for line in said.splitlines() if line.startswith("  ")]
    assert command.startswith("  dvc exp run -S model=swin_tiny")
    assert " -S train.epochs=7" in command
    cell["params"] = Params(dataset=Dataset(name="image_folder", folder="/srv/pets")).model_dump(
        mode="json"
    )
    write_record(tmp_path / "cell.json", cell)
    assert export(["--onnx", "--run", str(tmp_path)]) == 1
    assert " -S dataset.folder=/srv/pets" in capsys.readouterr().err


def test_a_cell_of_before_records_had_parameters(
    here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    old = ROOT / "studies/vit_vs_resnet/small/cells/resnet18-2000-scratch_c10-0"
    assert "params" not in json.loads((old / "cell.json").read_text())
    assert export(["--onnx", "--run", str(old)]) == 1
    assert "  dvc exp run -S model=resnet18" in capsys.readouterr().err
    shutil.copytree(old, tmp_path / "alone")
    assert export(["--onnx", "--run", str(tmp_path / "alone")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "neither its file nor its study tells by which parameters" in said
