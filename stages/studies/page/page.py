"""The page of a study: studies/NAME/report.html, self-contained, and report.md beside it with two
of its charts as files, accuracy.svg and latency.svg.

Shows the full form when any of its cells exist, else the small one, and says which. Each data set
has sections of its own; the machine with most cells comes first and others are further columns,
never averaged with it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from stages.core import files
from stages.core.paths import STUDIES
from stages.pages.blocks import Picture, svg_file
from stages.pages.render import render
from stages.runs.schema import CELL
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.reading import read_results
from stages.studies.analysis.results import Results
from stages.studies.page.cell_list import cell_list
from stages.studies.page.heading import answers_of, elsewhere, lead, tiles
from stages.studies.page.machine_tables import device_table, machine_table
from stages.studies.page.notes import notes
from stages.studies.page.section import Section, section
from stages.studies.page.verdicts import (
    Judged,
    answering,
    claims_table,
    judge_all,
    reported_table,
    slips,
)
from stages.studies.spec.study_config import SMALL, StudyConfig, load_study_config
from stages.studies.spec.study_source import Goal, StudySource, load_study_source

CHARTS = ("accuracy", "latency")


def write_page(name: str, revisions: Sequence[str] = ()) -> str:
    """Write the files of a study's page and return what was written, in a line.

    Cells of `revisions`, and of those that params.yaml names under `with`, are further columns.
    """
    form = choose_study(name)
    every = dict.fromkeys([*form.file.revisions, *revisions])
    story, results = load_study_source(form), read_results(form, list(every))
    view = page_view(form, story, results)
    folder = STUDIES / form.study
    for chart in CHARTS:
        path, drawn = folder / f"{chart}.svg", view["charts"].get(chart)
        if drawn is None:
            path.unlink(missing_ok=True)  # it would stand for cells that are no more
        else:
            files.write_text(path, svg_file(drawn))
    files.write_text(folder / "report.md", render("study.md.j2", view))
    files.write_text(folder / "report.html", render("study.html.j2", view))
    return f"{folder / 'report.html'}: {view['lead']}"


def choose_study(name: str) -> StudyConfig:
    """The form to show: the one that is named, or the small one while the full has no cells."""
    form = load_study_config(name)
    folders = [form.cells_folder, *form.machines_folder.glob("*/")]
    ran = any((folder / cell.name / CELL).exists() for cell in form.cells for folder in folders)
    small = form.folder / SMALL / "params.yaml"
    return form if ran or not small.exists() else load_study_config(f"{name}/{SMALL}")


def page_view(form: StudyConfig, story: StudySource, results: Results) -> dict[str, Any]:
    """All that study.html.j2 and study.md.j2 name."""
    whole = _views(form, results, results)
    problems = [_views(form, results.of(problem), results) for problem in results.heads]
    sections = [
        section(story, [view for view in views if not view.cells.empty], goals)
        for views, goals in zip(problems, _goals(story, problems), strict=True)
    ]
    _tell_apart(sections)
    judged = _judged(story, problems)
    return {
        "title": story.title,
        "question": story.question,
        "source": story.source,
        "notes": [*notes(form, results), *story.notes],
        "lead": lead(form, results, sections),
        "answers": answers_of(sections),
        "answering": answering(judged),
        "elsewhere": elsewhere(sections),
        "tiles": tiles(form, results, sections, judged),
        "claims": claims_table(judged),
        "reported": reported_table(story, whole),
        "slips": slips(story),
        "charts": _charts(sections[0].shown) if sections else {},
        "sections": [found.shown for found in sections],
        "machines": machine_table(whole) if whole else None,
        "devices": device_table(whole) if whole else None,
        "cells": cell_list(form, results),
        "form": form.name,
        "repro": form.repro("-k"),
    }


def _tell_apart(sections: Sequence[Section]) -> None:
    """Add the number of classes to a name that two data sets bear."""
    names = Counter(found.shown["name"] for found in sections)
    for found in sections:
        if names[found.shown["name"]] > 1:
            found.shown["name"] += f" ({len(found.view.results.answers)} classes)"


def _charts(shown: dict[str, Any]) -> dict[str, Picture]:
    """What answers most at a glance: accuracy, by size where there are two, and what it costs."""
    accuracy = shown["data_size"] or shown["bars"]
    chosen = accuracy[:1], shown["trade_offs"][-1:]
    return {name: drawn[0] for name, drawn in zip(CHARTS, chosen, strict=True) if drawn}


def _views(form: StudyConfig, own: Results, every: Results) -> list[MachineResults]:
    """A view per machine; whoever has most of the whole study is number one."""
    return [
        MachineResults(form, own, machine, place) for place, machine in enumerate(every.makers, 1)
    ]


def _judged(story: StudySource, problems: Sequence[Sequence[MachineResults]]) -> Judged:
    """Every claim with a verdict per machine, from the first data set that has its runs."""
    every = [judge_all(story, views) for views in problems] or [judge_all(story, [])]
    found: Judged = []
    for same_claim in zip(*every, strict=True):
        per_machine = zip(*(verdicts for _, verdicts in same_claim), strict=True)
        chosen = [
            next((one for one in verdicts if one.status != "not run"), verdicts[0])
            for verdicts in per_machine
        ]
        found.append((same_claim[0][0], chosen))
    return found


def _goals(story: StudySource, problems: Sequence[Sequence[MachineResults]]) -> list[list[Goal]]:
    """The source's targets by data set: each where its runs are, else with the first."""
    found: list[list[Goal]] = [[] for _ in problems]
    for goal in story.targets if problems else []:
        ran = [any(_aims_at(goal, view) for view in views) for views in problems]
        found[ran.index(True) if True in ran else 0].append(goal)
    return found


def _aims_at(goal: Goal, view: MachineResults) -> bool:
    own = view.cells[view.cells["model"] == goal.model]
    return bool(len(own) if goal.recipe is None else (own["recipe"] == goal.recipe).any())
