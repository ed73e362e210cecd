"""The shell around a stage: its parameters, its help and what is wrong with its arguments."""

import sys

import pytest

from stages.core.params import Params
from stages.runs.stage import run_stage


def sample(params: Params) -> None:
    """Print the seed."""
    sys.stdout.write(f"seed {params.seed}\n")


def test_params_are_loaded_and_passed(tmp_path, capsys):
    (tmp_path / "other.yaml").write_text("seed: 7")
    assert run_stage(sample, ["--params", str(tmp_path / "other.yaml")]) == 0
    assert capsys.readouterr().out == "seed 7\n"


def test_wrong_params_are_one_paragraph(tmp_path, capsys):
    (tmp_path / "other.yaml").write_text("sed: 7")
    assert run_stage(sample, ["--params", str(tmp_path / "other.yaml")]) == 1
    assert "Did you mean `seed`?" in " ".join(capsys.readouterr().err.split())


def test_wrong_arguments_are_2(capsys):
    with pytest.raises(SystemExit) as caught:
        run_stage(sample, ["--parms", "x"])
    assert caught.value.code == 2


def test_help_is_the_docstring_of_the_module(capsys):
    with pytest.raises(SystemExit) as caught:
        run_stage(sample, ["--help"])
    assert caught.value.code == 0
    output = capsys.readouterr().out
    assert "The shell around a stage" in output
    assert "--params" in output
