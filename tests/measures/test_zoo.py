"""The table of many models: patterns of names, resuming, failures as rows, a table to read."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from stages import profile
from stages.core import paths
from stages.core.errors import ModelError
from stages.core.params import Params
from stages.core.sections import Profile
from stages.measures.profiling import zoo
from stages.measures.profiling.sheet import Sheet

CPU = torch.device("cpu")
PARAMS = Params(profile=Profile(batch_sizes=[1], seconds=0.01, repeats=1, variants=[]))


def fake_measure(build: object, profile: Profile, device: torch.device, threads: int) -> Sheet:
    """A sheet at once; one model is broken and one does not take the size."""
    params = build.args[0]
    if params.model == "resnet18":
        raise RuntimeError("the operator broke")
    if params.model == "swin_tiny":
        raise ModelError("swin_tiny cannot take 32 px.")
    metrics = {
        "model": params.model, "input_px": params.input_size, "params_total": 1_234_567,
        "macs_g": 0.5, "latency_ms_p50": 1.25, "latency_spread": 0.02, "latency_note": None,
        "training_note": "noisy", "peak_memory_reason": None, "best": "At batch 1 eager",
        "throughput_images_per_second": 12345.6, "variants": {"eager": {}},
    }  # fmt: skip
    return Sheet(metrics, pd.DataFrame(), pd.DataFrame())


def test_patterns_name_models() -> None:
    assert set(zoo.names_of(["lenet_*", "lenet_small"])) == {"lenet_small", "lenet_large"}
    assert len(zoo.names_of([])) > 8
    with pytest.raises(ModelError, match=r"(?i)did you mean lenet_small"):
        zoo.names_of(["lenet_smal"])


def test_each_model_at_one_size_or_at_its_own() -> None:
    names = ["lenet_small", "swin_tiny"]
    assert [task.input_size for task in zoo.tasks_of(names, PARAMS, native=False)] == [32, 32]
    assert [task.input_size for task in zoo.tasks_of(names, PARAMS, native=True)] == [32, 224]


def test_a_second_start_measures_what_is_missing_and_failures_are_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "measure", fake_measure)
    told: list[str] = []

    def kept(task: Params) -> Path:
        return tmp_path / f"{task.model}.json"

    tasks = zoo.tasks_of(["lenet_small", "resnet18", "swin_tiny"], PARAMS, native=False)
    zoo.measure_zoo(tasks[:1], CPU, 1, kept, told.append)
    table = zoo.measure_zoo(tasks, CPU, 1, kept, told.append).set_index("model")
    assert [line.split(":")[0] for line in told] == [
        "[1/1, about 0 min left] lenet_small",
        "1 of 3 models are measured already.",
        *(line.split(":")[0] for line in told[2:]),
    ]
    assert len(told) == 4
    assert table.note["lenet_small"] == "training: noisy"
    assert table.note["resnet18"] == "RuntimeError: the operator broke"
    assert table.note["swin_tiny"] == "swin_tiny cannot take 32 px."
    assert "variants" not in table.columns
    zoo.measure_zoo(tasks, CPU, 1, kept, told.append)  # what failed is tried again
    assert told[4] == "1 of 3 models are measured already."


def test_the_page_has_the_columns_that_fit_and_blanks_for_unknowns() -> None:
    table = pd.DataFrame([fake_measure(_Build("lenet_small"), PARAMS.profile, CPU, 1).metrics])
    head, rule, row = zoo.as_markdown(table).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| lenet_small | 32 | 1.23 | 0.5 |  | 1.25 | 2% | 12,346 |  |")


class _Build:
    def __init__(self, model: str) -> None:
        self.args = (PARAMS.model_copy(update={"model": model}),)


def test_the_command_writes_both_tables_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(zoo, "measure", fake_measure)
    values = {"threads": 1, "device": "cpu", "profile": PARAMS.profile.model_dump()}
    paths.PARAMS.write_text(yaml.safe_dump(values))
    assert profile.main(["--all", "lenet_*"]) == 0
    assert list(pd.read_csv(paths.ZOO_CSV).model) == ["lenet_small", "lenet_large"]
    assert "| lenet_large |" in paths.ZOO_MD.read_text()
    rows = list((tmp_path / ".work" / "zoo").glob("*/*.json"))
    assert {json.loads(row.read_text())["model"] for row in rows} == {"lenet_small", "lenet_large"}
    assert profile.main(["--all", "lenet_*"]) == 0
    assert "2 of 2 models are measured already" in capsys.readouterr().out
    # With another family's code a row is none of the model's.
    edited = {"stages/models/families/lenet.py": "0" * 64}
    monkeypatch.setattr(
        "stages.runs.code.code_files", lambda *asked: edited if "model" in asked[2] else {}
    )
    assert profile.main(["--all", "lenet_*"]) == 0
    assert "measured already" not in capsys.readouterr().out
