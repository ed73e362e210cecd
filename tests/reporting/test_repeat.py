"""The commands that repeat a run: they set what differs, from the commit that holds the code."""

import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from stages.core.params import Params, parse_params, read_params
from stages.reporting.repeat import changes, commands, experiment, flat, origin_of


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "code.py").write_text("one\n")
    (tmp_path / "params.yaml").write_text("seed: 3\ntrain: {lr: 1e-2}\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "code")
    return tmp_path


def test_only_what_differs_from_the_commit_is_set(repository: Path) -> None:
    run = parse_params({"seed": 3, "model": "resnet18", "train": {"lr": 0.01}}, "test")
    origin = origin_of(repository)
    assert origin.clean
    assert commands(run, origin) == [
        f"git checkout {git(repository, 'rev-parse', '--short=12', 'HEAD')}",
        "dvc exp run -S model=resnet18",
    ]


def test_results_do_not_make_the_code_unclean_but_code_does(repository: Path) -> None:
    (repository / "metrics").mkdir()
    (repository / "metrics" / "train.json").write_text("{}")
    (repository / "params.yaml").write_text("seed: 4\n")
    assert origin_of(repository).clean
    (repository / "stages" / "code.py").write_text("two\n")
    assert not origin_of(repository).clean


def test_outside_git_the_defaults_are_the_base(tmp_path: Path) -> None:
    origin = origin_of(tmp_path)
    assert origin.revision is None
    run = parse_params({"train": {"augment": ["crop", "flip"], "ema": 0.999}}, "test")
    assert commands(run, origin) == [
        "dvc exp run -S 'train.augment=[crop,flip]' -S train.ema=0.999"
    ]


def test_a_commit_with_other_keys_falls_back_to_the_defaults(repository: Path) -> None:
    (repository / "params.yaml").write_text("old_key: 1\n")
    git(repository, "commit", "-qam", "old")
    assert origin_of(repository).params is None


def test_nothing_to_set_is_a_plain_repro(repository: Path) -> None:
    base = origin_of(repository).params
    assert base is not None
    assert commands(base, origin_of(repository))[-1] == "dvc repro"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (None, "null"),
        (["crop", "flip"], "'k=[crop,flip]'"),
        ("1/16", "k=1/16"),
        (5e-4, "k=0.0005"),
        ("a b", "\"'\"'a b'\"'\""),
        ("1e3", "\"'\"'1e3'\"'\""),
    ],
)
def test_values_are_written_as_dvc_reads_them(value: object, written: str) -> None:
    assert written in experiment({"k": value})


def test_dvc_reads_back_what_is_written(tmp_path: Path) -> None:
    """Through the parser that `dvc exp run -S` uses."""
    run = {
        "model": "timm/vit_tiny", "train.augment": ["crop"], "train.ema": None,
        "subset.train": "1/16", "pretrained": True, "dataset.folder": "my data/x.zip",
    }  # fmt: skip
    settings = [part for part in shlex.split(experiment(run)) if "=" in part]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(Params().model_dump()))
    apply_overrides(path, settings)
    found = flat(read_params(path.read_text(), "test"))
    assert {key: found[key] for key in run} == run


@pytest.mark.parametrize(
    "folder", ["2024", "1e3", "null", "data/Bob's pets", r"C:\pets", "@x", "a,b", "a b\\", r"a\'b"]
)
def test_text_stays_text(tmp_path: Path, folder: str) -> None:
    (setting,) = shlex.split(experiment({"dataset.folder": folder}))[4:]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(Params().model_dump()))
    apply_overrides(path, [setting])
    assert read_params(path.read_text(), "test").dataset.folder == folder


def test_where_a_folder_lies_is_nobody_elses_business() -> None:
    own = {"dataset": {"folder": "/home/anna/pets.zip"}, "pretrained": "~/w.pt"}
    found = flat(parse_params(own, "test"))
    assert found["dataset.folder"] == "/path/to/pets.zip"
    assert found["pretrained"] == "/path/to/w.pt"


def test_changes_and_flat_keys_cover_every_parameter() -> None:
    keys = flat(Params())
    assert {"model", "train.lr", "dataset.name", "profile.batch_sizes"} <= set(keys)
    assert changes(Params(), Params()) == {}
    assert changes(read_params("seed: 9", "test"), Params()) == {"seed": (9, 0)}
