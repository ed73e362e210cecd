"""Probes of trained backbones as a study: written, run, and two named as worth fine-tuning."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from stages.core import files
from stages.core.errors import ModelError, ParamsError
from stages.core.params import parse_params
from stages.models import build
from stages.studies.analysis.fine_tuning import fine_tuning
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.reading import read_results
from stages.studies.page.album import losses
from stages.studies.run import cell, machine
from stages.studies.run.cell import run_cell
from stages.studies.run.pictures import list_pictures
from stages.studies.spec import trained_study
from stages.studies.spec.study_config import load_study_config
from stages.studies.spec.trained_study import new_trained_study

PICTURES = {"name": "image_folder", "folder": "pictures"}
GRID = {"models": None, "sizes": [60, 120], "seeds": [0]}
TINY = {
    "device": "cpu",
    "dataset": {"name": "digits"},
    "subset": {"val": 0, "test": 100},
}
SHOWN = {"normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.3, 0.3, 0.3]}}
COST = {"input_px": 16, "macs_g": 0.1, "params_total": 6e4, "latency_ms_p50": 1.0}


def test_probes_are_ranked_and_two_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(trained_study, "trained_at_hand", list)
    monkeypatch.setattr(machine, "_measure", lambda params, declared: "0" * 64)
    monkeypatch.setattr(cell, "profile_of", lambda *asked: COST)
    given = []
    for model in ("lenet_small", "lenet_large"):
        made = build(parse_params({"model": model, "seed": 3}, "test"), 10).model
        state = {name: value.contiguous() for name, value in made.state_dict().items()}
        save_file(state, f"{model}.safetensors", {"about": json.dumps(SHOWN)})
        given.append(f"{model}={model}.safetensors")
    new_trained_study("pets", PICTURES, GRID, given, px=16)
    form = load_study_config("pets")
    values = yaml.safe_load((form.folder / "params.yaml").read_text())
    files.write_text(
        form.folder / "params.yaml", yaml.safe_dump(values | {"base": values["base"] | TINY})
    )
    form = load_study_config("pets")
    list_pictures(form)
    told: list[str] = []
    for one in form.cells:
        assert run_cell(form, one, told.append)["train"]["train_top1"] > 0.5
    computed = [line.split()[2] for line in told if "frozen trunk" in line]
    assert sorted(computed) == ["100", "100", "60", "60", "60", "60"]
    results = read_results(form)
    view = MachineResults(form, results, str(results.cells["machine"].iloc[0]))
    advice = fine_tuning(view)[0]
    assert sorted(advice.series.split(" and ")) == ["lenet_large file2", "lenet_small file1"]
    for model in ("lenet_small", "lenet_large"):
        assert (
            f"dvc exp run --queue -S 'model={model}' -S subset.train=120 -S subset.val=0 "
            f"-S subset.test=100 -S pretrained={model}.safetensors -S finetune=discriminative "
            "-S input_size=16"
        ) in advice.commands
        assert any(f"compare studies/pets/cells/{model}-120" in line for line in advice.commands)
    assert "dvc queue start" in advice.commands
    assert losses(view) == []  # nothing has epochs


def test_two_files_of_one_model_are_two_grids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trained_study, "trained_at_hand", list)
    state = build(parse_params({"model": "lenet_small"}, "test"), 10).model.state_dict()
    for name in "ab":
        torch.save(state, f"{name}.pth")
    given = ["lenet_small=a.pth", "lenet_small=b.pth"]
    new_trained_study("pets", PICTURES | {"folder": "1e3"}, GRID, given, px=16)
    form = load_study_config("pets")  # whose folder is a name, though YAML has it for a number
    found = {cell.recipe: form.params(cell).pretrained for cell in form.cells}
    assert {Path(str(path)).name for path in found.values()} == {"a.pth", "b.pth"}
    assert form.params(form.cells[0]).dataset.folder == "1e3"


def test_nothing_at_hand_and_mistaken_files_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trained_study, "trained_at_hand", list)
    with pytest.raises(ParamsError, match="No trained weights are at hand"):
        new_trained_study("pets", PICTURES, GRID, [], px=16)
    with pytest.raises(ParamsError, match="must be MODEL=PATH"):
        new_trained_study("pets", PICTURES, GRID, ["resnet18"], px=16)
    Path("notes.txt").write_text("no weights")
    with pytest.raises(ModelError, match=r"notes\.txt, which cannot be read as weights"):
        new_trained_study("pets", PICTURES, GRID, ["lenet_small=notes.txt"], px=16)
    assert not Path("studies/pets").exists()
