"""The profile stage: what it writes, that figures have reasons, that mistakes are one paragraph."""

import json
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from stages import profile
from stages.core import paths
from stages.core.errors import ModelError
from stages.core.metrics import read_metrics
from stages.core.params import Params
from stages.core.sections import Profile
from stages.measures.profiling import TRAIN_KEYS, sheet
from stages.measures.profiling.memory import Peak
from tests.measures.subjects import Failing, convolutional, killed, subject

QUICK = Profile(batch_sizes=[1, 4], seconds=0.02, repeats=2, variants=["bf16", "reparameterized"])
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def measured() -> sheet.Sheet:
    return sheet.measure(convolutional, QUICK.model_copy(update={"sweep_seconds": 0.01}), CPU, 1)


def test_the_sheet_has_every_figure_with_its_unit(measured: sheet.Sheet) -> None:
    metrics = measured.metrics
    assert metrics["flops_g"] == 2 * metrics["macs_g"]
    for name in (
        "params_total", "params_trainable", "weights_mb", "activations_m", "latency_ms_p50",
        "throughput_images_per_second", "training_step_ms_p50", "training_images_per_second",
        "peak_memory_mb", "peak_resident_mb", "training_peak_memory_mb", "threads",
    ):  # fmt: skip
        assert metrics[name] > 0, name
    assert metrics["energy_per_image_j"] or metrics["energy_reason"]
    assert metrics["peak_memory_means"] == "most bytes held by PyTorch's CPU allocator"
    assert metrics["best"].startswith("At batch 1 ")
    assert metrics["training_in_half"].startswith("A step in bf16 is ")
    assert not [
        name for name, value in metrics.items() if value == 0 and name != "other_load_cores"
    ]
    json.dumps(metrics, allow_nan=False)


def test_a_peak_that_fails_beside_the_other_is_measured_again_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def peak(build: object, mode: str, size: int, device: object, threads: int) -> Peak:
        asked.append(mode)
        if asked.count(mode) == 1:
            return Peak(size, reason="out of memory", killed=mode == "training")
        return Peak(size, 3.0, 4.0, "held")

    monkeypatch.setattr(sheet, "peak_memory", peak)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    metrics = sheet.measure(convolutional, QUICK, CPU, 2).metrics
    assert "`threads` is 2 on 1 core" in metrics["latency_note"]
    assert sorted(asked) == ["inference"] * 2 + ["training"] * 2
    assert (metrics["peak_memory_mb"], metrics["training_peak_memory_mb"]) == (3.0, 3.0)
    assert metrics["training_images_per_second"] > 0


def test_the_table_has_a_row_per_cell_with_its_settings(measured: sheet.Sheet) -> None:
    table = measured.table
    timed = table[table.latency_ms_p50.notna()]
    assert set(zip(timed.variant, timed["mode"], timed.batch_size, strict=True)) >= {
        ("eager", "inference", 1), ("eager", "inference", 4), ("bf16", "inference", 1),
        ("bf16", "inference", 4), ("eager", "training", 4), ("bf16", "training", 4),
        ("eager", "inference", 8),
    }  # fmt: skip
    assert timed[["threads", "precision", "memory_format", "runs_on", "calls"]].notna().all().all()
    merged = table[table.variant == "reparameterized"]
    assert (merged.note == "this network has no branches to merge").all()
    assert merged.latency_ms_p50.isna().all()


def test_a_network_that_cannot_run_still_gets_its_counts() -> None:
    build = partial(subject, Failing(ValueError("no such shape")))
    measured = sheet.measure(build, QUICK, CPU, 1)
    assert measured.metrics["params_total"] == 1
    assert measured.metrics["latency_ms_p50"] is None
    assert "no such shape" in measured.metrics["latency_note"]
    assert "no such shape" in measured.metrics["peak_memory_reason"]
    assert measured.metrics["best"] == "Nothing could be timed"


def test_a_model_too_large_for_memory_is_one_paragraph() -> None:
    with pytest.raises(ModelError, match="does not fit this machine"):
        sheet.measure(killed, QUICK, CPU, 1)


def test_dvc_measures_again_when_what_decides_the_costs_changes(root: Path) -> None:
    declared = yaml.safe_load((root / "dvc.yaml").read_text("utf-8"))["stages"]["profile"]["params"]
    of_training = {one for one in declared if isinstance(one, str) and one.startswith("train.")}
    assert of_training == {f"train.{key}" for key in (*TRAIN_KEYS, "deterministic")}


def test_the_stage_writes_its_three_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"model": "lenet_small", "device": "cpu", "threads": 1, "profile": QUICK.model_dump()}
    paths.PARAMS.write_text(yaml.safe_dump(values))
    paths.MANIFEST.parent.mkdir()
    paths.MANIFEST.write_text(json.dumps({"classes": [str(name) for name in range(10)]}))
    assert profile.main([]) == 0
    metrics = read_metrics(paths.PROFILE_METRICS)
    assert (metrics["model"], metrics["params_total"]) == ("lenet_small", 62_006)
    assert len(pd.read_csv(paths.PROFILE_TABLE)) == 2 * 3 + 2
    assert pd.read_csv(paths.PROFILE_BLOCKS).params.sum() == 62_006
    assert metrics["best"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"), [(["--native"], "--native goes with --all"), (["--al"], "unrecognized")]
)
def test_options_that_cannot_be_meant_measure_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        profile.main(options)
    assert told in capsys.readouterr().err


def test_without_data_the_stage_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text(yaml.safe_dump(Params().model_dump()))
    assert profile.main([]) == 1
    assert "data/manifest.json is missing" in capsys.readouterr().err
