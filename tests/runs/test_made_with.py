"""A run is known by what its results tell, whatever became of `params.yaml` since."""

import shutil
from pathlib import Path

import pytest

from stages.comparison.rerun.rebuilt_engine import params_of
from stages.core import paths
from stages.core.errors import RunError
from stages.core.metrics import read_metrics, write_metrics
from stages.core.params import load_params, parse_params
from stages.runs.belonging import require_same_training
from stages.runs.made_with import depended_on, made_with, told_params
from stages.runs.run import load_run, read_strictly
from stages.runs.sources import open_source

TELLING = (
    paths.SUBSET_METRICS, paths.TRAIN_METRICS, paths.EVALUATE_METRICS, paths.PROFILE_METRICS,
)  # fmt: skip
"""Metrics that tell what they were made with."""


@pytest.fixture
def edited(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of the committed parameters, which were edited after it."""
    monkeypatch.chdir(root)
    for name in ("metrics", "plots"):
        shutil.copytree(root / name, tmp_path / name)
    params = load_params(paths.PARAMS)
    for path in TELLING:
        metrics = read_metrics(path) | made_with(path.stem, params)
        write_metrics(tmp_path / path, metrics, [])
    text = (root / paths.PARAMS).read_text(encoding="utf-8")
    for old, new in [("model: lenet_large", "model: resnet18"), ("epochs: 20", "epochs: 7"),
                     ("train: full ", "train: 500 "),
                     ("perturb_one_ulp: false", "perturb_one_ulp: true")]:  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    (tmp_path / paths.PARAMS).write_text(text, encoding="utf-8")
    return tmp_path


def test_an_edit_after_the_run_is_not_the_runs(edited: Path, root: Path) -> None:
    source = open_source(str(edited))
    run, params, made = load_run(source), params_of(source), load_params(root / paths.PARAMS)
    assert run.params == made.model_dump(mode="json")
    assert (run.params["subset"]["train"], run.is_perturbed) == ("full", False)
    assert params == made
    assert run.code.keys() == {"stages/train", "stages/evaluate"}
    assert not any("params.yaml" in lack for lack in run.missing)


def test_without_the_file_the_run_is_still_known(edited: Path) -> None:
    (edited / paths.PARAMS).unlink()
    assert load_run(open_source(str(edited))).params["train"]["epochs"] == 20


@pytest.mark.parametrize("told", [None, "x", [1]], ids=str)
def test_results_that_tell_no_parameters_are_known_by_the_file(edited: Path, told: object) -> None:
    for path in (edited / path for path in TELLING):
        write_metrics(path, read_metrics(path) | {"params": told}, [])
    run = load_run(open_source(str(edited)))
    assert (run.params["model"], run.params["subset"]["train"]) == ("resnet18", 500)
    assert "metrics/train.json (tells no parameters: params.yaml's are taken)" in run.missing


def test_where_pictures_and_weights_lie_is_not_told() -> None:
    own = {"dataset": {"name": "image_folder", "folder": "/home/me/cats.zip"},
           "pretrained": "/home/me/w.pt", "model": "resnet18"}  # fmt: skip
    told = made_with("train", parse_params(own, "test"))["params"]
    assert "/home/me" not in str(told)
    known = told_params(own, {"params": told | {"model": "lenet_small"}})
    assert (known["model"], known["pretrained"]) == ("lenet_small", own["pretrained"])
    assert told_params(own | {"pretrained": False}, {"params": told})["pretrained"] == "w.pt"
    assert known["dataset"]["folder"] == "/home/me/cats.zip"
    assert known["dataset"]["on_corrupt"] == "stop"


@pytest.mark.parametrize(
    ("trained", "left_out"),
    [
        ({"machine": "another"}, {"hardware", "evaluate", "profile"}),
        ({"model": "resnet18"}, {"profile"}),
        ({"indices_sha256": "0" * 64}, {"subset"}),
    ],
)
def test_what_lies_beside_the_results_of_another_training_is_left_out(
    edited: Path, trained: dict[str, str], left_out: set[str]
) -> None:
    """The fingerprint of another machine, or a profile that was not repeated."""
    train = edited / paths.TRAIN_METRICS
    write_metrics(train, read_metrics(train) | trained, ["id"])
    run = load_run(open_source(str(edited)))
    told = ("hardware", "subset", "evaluate", "profile")
    assert {name for name in told if not getattr(run, name)} == left_out
    assert ("subset" in run.params) == ("subset" not in left_out)
    assert any("(of another" in lack for lack in run.missing)
    report = read_strictly(open_source(str(edited)))
    assert bool(report.hardware) == ("hardware" not in left_out)
    assert (report.profile_table is None) == ("profile" in left_out)


def test_answers_of_other_weights_are_no_answers_of_the_run(edited: Path) -> None:
    """A training that was killed, or repeated without its evaluation."""
    metrics = edited / paths.EVALUATE_METRICS
    found = read_metrics(metrics)
    for of, known in [(read_metrics(edited / paths.TRAIN_METRICS)["weights_sha256"], True),
                      ("0" * 64, False)]:  # fmt: skip
        write_metrics(metrics, found | {"weights_sha256": of}, ["test_top1"])
        run = load_run(open_source(str(edited)))
        assert (run.predictions is not None) == bool(run.evaluate) == known
    assert "metrics/evaluate.json (of another training: other weights)" in run.missing
    report = read_strictly(open_source(str(edited)))
    assert (report.evaluate, report.per_class, report.pictures) == ({}, None, {})


def test_answers_that_were_given_with_other_parameters_are_left_out(edited: Path) -> None:
    """`python -m stages.evaluate` after an edit: which of the two made what is told."""
    metrics = edited / paths.EVALUATE_METRICS
    found = read_metrics(metrics)
    found["params"]["evaluate"]["batch_size"] = 7
    write_metrics(metrics, found, [])
    run = load_run(open_source(str(edited)))
    assert run.evaluate == {}
    lack = "metrics/evaluate.json (of another training: `evaluate.batch_size`)"
    assert lack in run.missing


def test_answers_of_which_nothing_tells_are_nobodys(edited: Path) -> None:
    """Their metrics were deleted: the table may be of any weights."""
    (edited / paths.EVALUATE_METRICS).unlink()
    run = load_run(open_source(str(edited)))
    assert run.predictions is None
    assert "metrics/evaluate.json" in run.missing


def test_weights_of_other_parameters_are_not_evaluated(
    edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came of it would count nowhere."""
    told = depended_on("train", load_params(paths.PARAMS))
    monkeypatch.chdir(edited)
    require_same_training({"params": told})
    told["train"]["epochs"] = 3
    with pytest.raises(RunError, match=r"made otherwise \(`train.epochs`\), .* Run `dvc repro`"):
        require_same_training({"params": told})
