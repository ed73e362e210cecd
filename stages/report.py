"""Put the run's results on one page: report/index.html, report/report.md for a pull request, and
report/model_card.md to go with the weights.

Reads the metrics, tables and pictures of the other stages, params.yaml and targets.yaml; what is
missing is named on the page and does not stop it. The page holds everything itself and needs no
network. Arranging is left to `stages.reporting`, drawing to `stages.charts`.
"""

import sys
from typing import TYPE_CHECKING

from stages.runs.stage import run_stage

if TYPE_CHECKING:
    from stages.core.params import Params


def report(params: "Params") -> None:
    """The stage. Raises RunError for damaged files, ParamsError for a mistake in targets.yaml."""
    from stages.core import files, paths
    from stages.pages.render import render
    from stages.reporting.model_card import card_of
    from stages.reporting.repeat import origin_of
    from stages.reporting.targets import load_targets
    from stages.reporting.view import view_of
    from stages.runs.run import read_strictly
    from stages.runs.sources import WORKSPACE, open_source

    run = read_strictly(open_source(WORKSPACE))
    view = view_of(params, run, origin_of(), load_targets(paths.TARGETS))
    files.write_text(paths.REPORT_MD, render("report.md.j2", view))
    files.write_text(paths.MODEL_CARD, render("model_card.md.j2", view | card_of(params, run)))
    files.write_text(paths.REPORT_HTML, render("report.html.j2", view))
    sys.stdout.write(f"{paths.REPORT_HTML}: {view['summary']}\n")


if __name__ == "__main__":
    sys.exit(run_stage(report))
