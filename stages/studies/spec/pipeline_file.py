"""The dvc.yaml of a study: a matrix stage per grid, so that DVC knows every cell.

Made from params.yaml's grids by name; a longer or shorter grid needs no new dvc.yaml, another
grid does. Its paths are relative to the form's folder, and its commands run from the root. Leaves
running to DVC.
"""

from stages.core.errors import ParamsError
from stages.core.paths import PARAMS, PIPELINE
from stages.pages.render import render
from stages.studies.spec.study_config import StudyConfig


def pipeline(form: StudyConfig) -> str:
    """The text of the form's dvc.yaml."""
    view = {
        "name": form.name,
        "repro": form.repro("-k"),
        "root": "/".join([".."] * len(form.folder.parts)),
        "grids": list(form.file.grids),
        "cell": "cells/${item.model}-${item.size}-${item.recipe}-${item.seed}",
    }
    return render("study_dvc.yaml.j2", view)


def require_wired(form: StudyConfig) -> None:
    """Raise ParamsError unless the form's dvc.yaml is that of its grids."""
    made = form.folder / PIPELINE
    if not made.exists() or made.read_text(encoding="utf-8") != pipeline(form):
        raise ParamsError(
            f"{made} is not that of the grids in {form.folder / PARAMS}, so DVC could not record "
            f"their cells. Write it anew with `python -m stages.study wire {form.name}` and commit "
            "it."
        )
