"""A run is known by what it was made with, whatever became of `params.yaml` since."""

import shutil
from pathlib import Path

import pytest

from stages.comparison.rerun.rebuilt_engine import params_of
from stages.core import paths
from stages.core.metrics import read_metrics, write_metrics
from stages.runs.run import load_run, read_strictly
from stages.runs.sources import open_source


@pytest.fixture
def edited(root: Path, tmp_path: Path) -> Path:
    """The committed run, under parameters that were edited after it."""
    for name in ("metrics", "plots"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / paths.LOCK, tmp_path)
    text = (root / paths.PARAMS).read_text(encoding="utf-8")
    for old, new in [("model: lenet_large", "model: resnet18"), ("epochs: 20", "epochs: 7"),
                     ("train: full ", "train: 500 "),
                     ("perturb_one_ulp: false", "perturb_one_ulp: true")]:  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / paths.PARAMS).write_text(text, encoding="utf-8")
    return tmp_path


def test_an_edit_after_the_run_is_not_the_runs(edited: Path) -> None:
    source = open_source(str(edited))
    run, params = load_run(source), params_of(source)
    assert (run.params["model"], run.params["train"]["epochs"]) == ("lenet_large", 20)
    assert (run.params["subset"]["train"], run.is_perturbed) == ("full", False)
    assert (params.model, params.train.epochs, params.train.perturb_one_ulp) == (
        "lenet_large", 20, False,
    )  # fmt: skip


def test_results_of_a_stage_run_without_dvc_are_those_of_the_file(edited: Path) -> None:
    metrics = edited / paths.TRAIN_METRICS
    metrics.write_text(f"{metrics.read_text(encoding='utf-8')} ", encoding="utf-8")
    run = load_run(open_source(str(edited)))
    assert (run.params["model"], run.params["subset"]["train"]) == ("resnet18", "full")
    assert "dvc.lock (of other results; the parameters are those of params.yaml)" in run.missing


@pytest.mark.parametrize(
    "lock",
    ["", "stages: []\n", "stages:\n  train: 3\n", "stages: {train: {outs: 5, params: [1]}}\n",
     "stages: {train: {outs: [3, {path: metrics/train.json, md5: 7}], params: {x: 1}}}\n"],
)  # fmt: skip
def test_without_a_lock_the_file_is_all_there_is(edited: Path, lock: str) -> None:
    (edited / paths.LOCK).write_text(lock, encoding="utf-8")
    assert load_run(open_source(str(edited))).params["model"] == "resnet18"


def test_answers_of_other_weights_are_no_answers_of_the_run(edited: Path) -> None:
    """A training that was killed, or repeated without its evaluation."""
    metrics = edited / paths.EVALUATE_METRICS
    found = read_metrics(metrics)
    for of, known in [(read_metrics(edited / paths.TRAIN_METRICS)["weights_sha256"], True),
                      ("0" * 64, False)]:  # fmt: skip
        write_metrics(metrics, found | {"weights_sha256": of}, ["test_top1"])
        run = load_run(open_source(str(edited)))
        assert (run.predictions is not None) == bool(run.evaluate) == known
    assert "metrics/evaluate.json (of other weights than were trained)" in run.missing
    report = read_strictly(open_source(str(edited)))
    assert (report.evaluate, report.per_class, report.pictures) == ({}, None, {})
