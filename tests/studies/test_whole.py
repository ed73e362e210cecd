"""A study as its user runs it: the command line and real `dvc repro`, on a few made-up pictures."""

import os
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from stages.core import files, streams

ROOT = Path(__file__).resolve().parent.parent.parent
BIN = Path(sys.executable).parent
PIPELINE = "mine/dvc.yaml"
MODELS = ["lenet_small", "timm/test_resnet"]  # a library's name has a slash, and so has its folder
CELLS = [f"{model}-20-default-0" for model in MODELS]


class Workplace:
    """A folder with DVC, in which commands run as in a shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cells = folder / "studies/mine/cells"

    def start(self, *words: str) -> "subprocess.Popen[str]":
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(words, cwd=self.folder, env=environment, start_new_session=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)  # fmt: skip

    def run(self, *words: str) -> str:
        started = self.start(*words)
        told, _ = started.communicate()
        assert started.returncode == 0, told
        return told

    def dvc(self, *words: str) -> list[str]:
        """The cells that a DVC command ran."""
        lines = self.run("dvc", "--cd", "studies", *words).splitlines()
        names = [line.split("'")[1] for line in lines if line.startswith("Running stage")]
        return [name.partition("@")[2] for name in names if "@" in name]

    def change(self, **grid: Any) -> None:
        """Change lists of the grid, as a user would with an editor."""
        path = self.folder / "studies/mine/params.yaml"
        values = yaml.safe_load(path.read_text())
        values["grids"]["backbones"] |= grid
        values["base"]["profile"] |= {"seconds": 0.05, "batch_sizes": [1], "repeats": 1}
        files.write_text(path, yaml.safe_dump(values))

    @property
    def page(self) -> str:
        return (self.folder / "studies/mine/report.html").read_text()


def draw_pictures(folder: Path) -> None:
    """Two classes of noise, of which one is bluer."""
    for label, name in enumerate(("grey", "blue")):
        (folder / name).mkdir(parents=True)
        for index in range(50):
            values = 160 * streams.uniforms(streams.stream(0, name, index), 16 * 16 * 3)
            pixels = values.reshape(16, 16, 3) + np.array([0, 0, 80 * label])
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A new study of own pictures, killed in its second cell."""
    made = Workplace(tmp_path)
    draw_pictures(made.folder / "pictures")
    (made.folder / "studies").mkdir()
    for project in (".", "studies"):
        made.run("dvc", "--cd", project, "init", "-q", "--no-scm")
    made.run("python", "-m", "stages.study", "new", "mine", "--folder", "pictures", "--models",
             ",".join(MODELS), "--sizes", "20", "--seeds", "1", "--epochs", "2", "--px",
             "16")  # fmt: skip
    made.change()
    with made.start("dvc", "--cd", "studies", "repro", PIPELINE) as started:
        assert started.stdout
        begun = (line for line in started.stdout if "Running stage" in line and "@" in line)
        assert len(list(islice(begun, 2))) == 2  # in an order that DVC chooses
        os.killpg(started.pid, signal.SIGKILL)
    return made


def test_a_study_is_killed_goes_on_repeats_a_cell_and_loses_a_model(workplace: Workplace) -> None:
    (first,) = [name for name in CELLS if (workplace.cells / name / "cell.json").exists()]
    before = (workplace.cells / first / "cell.json").read_bytes()
    assert sorted(workplace.dvc("repro", PIPELINE)) == [name for name in CELLS if name != first]
    assert (workplace.cells / first / "cell.json").read_bytes() == before
    for name in CELLS:
        assert files.read_json(workplace.cells / name / "cell.json")["cell"] == name
    told = workplace.run("python", "-m", "stages.study", "plan", "mine")
    assert "2 of 2 cells exist" in told
    assert "Which one to take" in workplace.page
    assert f"dvc --cd studies repro -f {PIPELINE}:backbones@{CELLS[1]}" in workplace.page
    assert workplace.dvc("repro", "-f", f"{PIPELINE}:backbones@{CELLS[1]}") == [CELLS[1]]
    workplace.change(models=MODELS[:1])
    assert workplace.dvc("repro", PIPELINE) == []
    assert MODELS[0] in workplace.page
    assert MODELS[1] not in workplace.page
