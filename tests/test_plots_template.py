"""DVC's plots draw without internet once the template is set up."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stages import plots_template
from stages.core.errors import RunError
from tests.run_files import history


def dvc(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_show_needs_no_network_and_draws_no_zero_for_an_empty_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    assert plots_template.set_up() == 0
    templates = tmp_path / ".dvc" / "plots"
    templates.mkdir()
    (templates / "curves.json").write_text((root / ".dvc/plots/curves.json").read_text())
    (tmp_path / "plots").mkdir()
    table = history(epochs=3).assign(val_loss=None)
    table.to_csv(tmp_path / "plots" / "history.csv", index=False)
    definition = {"x": "epoch", "y": {"plots/history.csv": ["train_loss", "val_loss"]}}
    plots = {"plots": [{"Loss": {**definition, "template": "curves"}}]}
    (tmp_path / "dvc.yaml").write_text(json.dumps(plots))
    dvc(tmp_path, "plots", "show")
    page = (tmp_path / "dvc_plots" / "index.html").read_text()
    assert "vegaEmbed('#" in page
    assert "<script src" not in page
    assert page.count("window.vegaEmbed=") == 1
    assert '"equal": ""' in page
    assert "<DVC_METRIC" not in page


def test_without_dvc_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"no folder \.dvc"):
        plots_template.set_up()


def test_the_page_keeps_the_placeholders_of_dvc() -> None:
    page = plots_template.plots_page("let vega = 1;")
    assert all(page.count(name) == 1 for name in ("{plot_divs}", "{refresh_tag}"))
    assert "(() => {let vega = 1;})();" in page
