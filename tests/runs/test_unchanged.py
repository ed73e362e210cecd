"""Results are refused when what decides them was edited meanwhile or is not of here, and only
then."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core import paths
from stages.core.device import prepare
from stages.core.errors import ChangedError, DataError, RunError
from stages.core.params import Params
from stages.dna.declared import read_declared
from stages.runs.tree import SourceTree
from stages.runs.unchanged import require_unchanged, stage_started

OWN_PIPELINE = Path(__file__).resolve().parent.parent.parent / paths.PIPELINE
PIPELINE = """
stages:
  train:
    cmd: python -m stages.train
    params: [metrics/code.json: [stages/train], model, train, dataset.name]
    outs: [data/weights.safetensors, data/snapshots]
    metrics:
      - metrics/train.json: {cache: false}
"""
START = "model: lenet_small\ntrain: {epochs: 2, lr: 0.001}\nprofile: {seconds: 0.1}\n"
MADE = ("data/weights.safetensors", "data/snapshots/one.pt", "metrics/train.json")
Edit = Callable[[], object]


@pytest.fixture(autouse=True)
def _pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text(START)


def run(edit: Edit) -> None:
    """The stage, which writes its outputs and meets an edit meanwhile."""
    with stage_started("train", Path("params.yaml")) as params:
        assert params.train.lr == 0.001
        for name in MADE:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text("made")
        edit()


def params(text: str) -> Edit:
    return lambda: Path("params.yaml").write_text(text)


@pytest.fixture
def sources(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Edit]:
    """An edit that appends text to a file of what is read as the package at the end."""
    monkeypatch.setattr("stages.runs.unchanged.SourceTree", lambda: SourceTree(copied))

    def append(name: str, text: str) -> Edit:
        path = copied / name
        return lambda: path.write_text(path.read_text() + text)

    return append


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (START.replace("lr: 0.001", "lr: 0.01"), "`train.lr` in params.yaml (from 0.001 to 0.01)"),
        (START.replace("_small", "_large"), '`model` in params.yaml (from "lenet_small" to'),
        (START + "dataset: {name: cifar10}", '`dataset.name` in params.yaml (from "digits" to'),
        (START.replace("lr: 0.001", "lr: [0.001"), "params.yaml, which is mistaken now"),
        (START.replace("epochs", "epoch"), "params.yaml, which is mistaken now"),
    ],
)
def test_an_edited_parameter_refuses_the_result(text: str, told: str) -> None:
    with pytest.raises(ChangedError) as refused:
        run(params(text))
    assert f"Edited while stage train ran: {told}" in str(refused.value)
    assert not any(Path(name).exists() for name in MADE)


@pytest.mark.parametrize(
    "text",
    [
        START.replace("seconds: 0.1", "seconds: 0.2"),
        START + "subset: {train: 100}\ndataset: {folder: elsewhere}",
        START.replace("lr: 0.001", "lr: 1e-3") + "seed: 0  # as before\n",
    ],
)
def test_another_edit_does_not(text: str) -> None:
    run(params(text))
    assert all(Path(name).exists() for name in MADE)


def test_an_edited_line_that_is_executed_refuses_the_result(
    sources: Callable[[str, str], Edit],
) -> None:
    with pytest.raises(ChangedError, match=r"Edited while stage train ran: stages/training/loop"):
        run(sources("training/loop.py", "\nEDITED = 1\n"))
    assert not any(Path(name).exists() for name in MADE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("training/loop.py", "\n# a comment\n"),
        ("models/families/vit.py", "\nEDITED = 1\n"),
        ("measures/profiling/sheet.py", "\nEDITED = 1\n"),
    ],
)
def test_an_edit_of_what_is_not_executed_does_not(
    name: str, text: str, sources: Callable[[str, str], Edit]
) -> None:
    run(sources(name, text))
    assert all(Path(made).exists() for made in MADE)


def test_a_stage_that_fails_by_itself_takes_nothing_away() -> None:
    run(lambda: None)

    def fail() -> None:
        raise DataError("no pictures")

    with pytest.raises(DataError):
        run(fail)
    assert all(Path(name).exists() for name in MADE)


def test_a_stage_can_ask_before_it_removes_what_a_refused_result_needs() -> None:
    require_unchanged()  # nothing is being made
    asked: list[str] = []

    def edit() -> None:
        require_unchanged()
        params(START.replace("epochs: 2", "epochs: 3"))()
        with pytest.raises(ChangedError):
            require_unchanged()
        asked.append("twice")

    with pytest.raises(ChangedError):
        run(edit)
    assert asked == ["twice"]
    require_unchanged()


def test_under_dvc_code_that_was_edited_before_the_stage_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DVC_STAGE", "train")
    Path("metrics").mkdir()
    Path("metrics/code.json").write_text(json.dumps({"stages/train": "0123456789ab"}))
    with pytest.raises(ChangedError, match="but was 0123456789ab when the fingerprint"):
        run(lambda: None)
    assert not Path("data").exists()


@pytest.mark.parametrize("stage", ["train", "evaluate", "profile"])
def test_a_stage_does_not_sign_with_the_dna_of_another_machine(stage: str) -> None:
    shutil.copy(OWN_PIPELINE, paths.PIPELINE)
    Path("params.yaml").write_text("model: lenet_small\n")
    own = read_declared(Params(), prepare(Params())).identity()
    paths.IDENTITY.parent.mkdir()
    paths.IDENTITY.write_text(json.dumps(own | {"numerics": "1234"}))
    with stage_started(stage, paths.PARAMS) as params:
        assert params.model == "lenet_small"
    paths.IDENTITY.write_text(json.dumps(own | {"chip": "Abacus", "threads": 99}))
    there = '`chip` "Abacus" there.*`threads` 99 there.*`python -m stages.fingerprint`'
    with pytest.raises(RunError, match=there), stage_started(stage, paths.PARAMS):
        raise AssertionError("it began")
    with stage_started("subset", paths.PARAMS):
        pass  # the same pictures are chosen on every machine
