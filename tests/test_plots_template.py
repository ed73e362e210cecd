"""DVC's plots draw without internet once the template is set up."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import plots_template
from stages.core.errors import RunError
from tests.run_files import history


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> Path:
    """A DVC project with our page and templates."""
    monkeypatch.chdir(tmp_path)
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    assert plots_template.set_up() == 0
    shutil.copytree(root / ".dvc/plots", tmp_path / ".dvc/plots")
    (tmp_path / "plots").mkdir()
    return tmp_path


def shown(folder: Path, plots: list[dict[str, Any]]) -> str:
    """The page of these plots."""
    (folder / "dvc.yaml").write_text(json.dumps({"plots": plots}))
    dvc(folder, "plots", "show")
    return (folder / "dvc_plots" / "index.html").read_text()


def test_show_needs_no_network_and_draws_no_zero_for_an_empty_cell(project: Path) -> None:
    table = history(epochs=3).assign(val_loss=None)
    table.to_csv(project / "plots" / "history.csv", index=False)
    definition = {"x": "epoch", "y": {"plots/history.csv": ["train_loss", "val_loss"]}}
    page = shown(project, [{"Loss": {**definition, "template": "curves"}}])
    assert "vegaEmbed('#" in page
    assert "<script src" not in page
    assert page.count("window.vegaEmbed=") == 1
    assert '"equal": ""' in page
    assert "<DVC_METRIC" not in page


def test_every_plot_with_a_template_of_ours_is_drawn(project: Path, root: Path) -> None:
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text())
    entries = [plot for stage in pipeline["stages"].values() for plot in stage.get("plots", [])]
    ours = {file.stem for file in (root / ".dvc/plots").iterdir()}
    plots = []
    for path, wanted in (item for entry in entries if isinstance(entry, dict) for item in entry.items()):  # fmt: skip  # noqa: E501
        if wanted.get("template") in ours:
            shown_there = ["git", "show", f"HEAD:{path}"]  # here they may be removed or other ones
            (project / path).write_bytes(subprocess.check_output(shown_there, cwd=root))
            title = wanted.pop("title")
            plots.append({title: {**without(wanted, "cache"), "y": {path: wanted["y"]}}})
    page = shown(project, [*plots, *pipeline["plots"]])
    specs = [json.loads(text) for text in re.findall(r"var spec = (\{.*\});", page)]
    assert len(specs) == len(plots) + len(pipeline["plots"])
    assert {wanted["template"] for plot in plots for wanted in plot.values()} == ours
    assert "<DVC_METRIC" not in page
    legends = [spec["config"]["legend"]["orient"] for spec in specs if "config" in spec]
    assert len(legends) >= 7
    assert {*legends} == {"bottom"}
    assert not {spec["title"]["text"] for spec in specs} & {"", None}


def without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def test_without_dvc_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"no folder \.dvc"):
        plots_template.set_up()


def test_the_page_keeps_the_placeholders_of_dvc() -> None:
    page = plots_template.plots_page("let vega = 1;")
    assert all(page.count(name) == 1 for name in ("{plot_divs}", "{refresh_tag}"))
    assert "(() => {let vega = 1;})();" in page
