"""`python -m stages.models`: quick, complete, searchable."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages.models import MODELS
from stages.models.__main__ import main


def test_the_table_lists_every_model_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(MODELS) + 1
    row = next(line for line in lines if line.startswith("resnet18")).split()
    assert row[:3] == ["resnet18", "11.17", "32"]


def test_names_can_be_searched(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--match", "shufflenet_v2_x0_5"]) == 0
    assert capsys.readouterr().out.split() == [
        "shufflenet_v2_x0_5", "torchvision/shufflenet_v2_x0_5"
    ]  # fmt: skip
    assert main(["--match", "no such thing"]) == 1
    assert "No name contains 'no such thing'" in capsys.readouterr().err


def test_neither_the_table_nor_its_help_loads_a_library(root: Path) -> None:
    check = (
        "import sys; from stages.models.__main__ import main; main([]); "
        "assert not {'torch', 'timm', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=root, check=True, stdout=subprocess.DEVNULL)
