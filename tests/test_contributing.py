"""The recipes of CONTRIBUTING.md, followed to the letter in a clone, all of them in one run."""

import re
import subprocess
import sys
from pathlib import Path

from stages.core.metrics import read_metrics
from tests.pipeline.conftest import dvc_in, make_clone

PAGE = "CONTRIBUTING.md"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_every_recipe_works_from_nothing(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    make_clone(clone)
    text = (clone / PAGE).read_text()
    written = []
    for source in blocks(text, "python"):
        name, _, content = source.removeprefix("# ").partition("\n")
        assert not (clone / name).exists()
        (clone / name).write_text(content)
        written.append(name)
    for patch in blocks(text, "diff"):
        subprocess.run(
            ["git", "apply", "--recount", "-"], cwd=clone, input=patch.encode(), check=True
        )
    assert len(written) == 5
    for check in (["ruff", "check", *written], ["ruff", "format", "--check", *written]):
        subprocess.run([sys.executable, "-m", *check], cwd=clone, check=True)
    commands = [line for block in blocks(text, "console") for line in block.splitlines()]
    chosen = re.findall(r"(?<=-S )\S+", " ".join(commands))
    assert chosen == ["model=pocket", "dataset.name=stripes", "task=rotation"]
    dvc_in(clone)("exp", "run", *(word for value in chosen for word in ("-S", value)))
    figures = read_metrics(clone / "metrics/evaluate.json")
    assert list(figures["top1_per_class"]) == ["0°", "90°", "180°", "270°"]
    assert 0.25 < figures["mean_confidence"] <= 1
    assert "training minus validation" in (clone / "report/index.html").read_text()
