"""The page of a study: studies/NAME/report.html, self-contained, and report.md beside it.

Shows the full form when any of its cells exist, else the small one, and says which. The machine
with most cells comes first; others are further columns, never averaged with it. Leaves figures to
the tables and form to the templates.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.core import files
from stages.reporting.parts import Table, Tile
from stages.reporting.render import render
from stages.reporting.words import duration, percent
from stages.studies import accuracy_tables as accuracy
from stages.studies import album, cost_tables
from stages.studies.advice import Advice, advise
from stages.studies.code import code_note
from stages.studies.form import SMALL, STUDIES, Form, load_form
from stages.studies.results import Results, read_results
from stages.studies.story import Story, load_story
from stages.studies.table import View
from stages.studies.verdicts import (
    Judged,
    claims_table,
    counted,
    judge_all,
    reported_table,
    slips,
    target_table,
)


def write_page(name: str, revisions: Sequence[str] = ()) -> str:
    """Write both files of a study's page and return what was written, in a line."""
    form = choose_form(name)
    story, results = load_story(form), read_results(form, revisions)
    view = page_view(form, story, results)
    folder = STUDIES / form.study
    files.write_text(folder / "report.md", render("study.md.j2", view))
    files.write_text(folder / "report.html", render("study.html.j2", view))
    return f"{folder / 'report.html'}: {view['lead']}"


def choose_form(name: str) -> Form:
    """The form to show: the one that is named, or the small one while the full has no cells."""
    form = load_form(name)
    ran = any((form.cell_folder(cell) / "cell.json").exists() for cell in form.cells)
    small = form.folder / SMALL / "params.yaml"
    return form if ran or not small.exists() else load_form(f"{name}/{SMALL}")


def page_view(form: Form, story: Story, results: Results) -> dict[str, Any]:
    """All that study.html.j2 and study.md.j2 name."""
    machines = results.finished["machine"].value_counts().index.tolist()
    views = [View(form, results, str(machine)) for machine in machines]
    judged = judge_all(story, views)
    advice = advise(views[0]) if views else []
    common = {
        "title": story.title,
        "question": story.question,
        "source": story.source,
        "notes": [*_notes(form, results), *story.notes],
        "lead": _lead(form, results, views),
        "advice": advice,
        "tiles": _tiles(form, results, views, judged, advice),
        "claims": claims_table(judged),
        "reported": reported_table(story, views[0] if views else None),
        "slips": slips(story),
        "cells": cells_table(form, results),
        "form": form.name,
        "pipeline": (form.folder / "dvc.yaml").as_posix(),
        "spread": _spread(views[0]) if views else "",
    }
    return common | (_measured(story, views) if views else dict.fromkeys(MEASURED))


MEASURED = (
    "results", "costs", "cost_notes", "samples", "winner", "efficiency", "gaps", "classes",
    "rankings", "epochs", "times", "targets", "repeats", "machines", "data_size", "trade_offs",
    "bars", "losses", "gap_chart", "heat_map", "confusion",
)  # fmt: skip


def _measured(story: Story, views: Sequence[View]) -> dict[str, Any]:
    view = views[0]
    shares = accuracy.class_shares(view)
    metrics = view.results.metrics
    tables = [(metric, accuracy.results_table(view, views[1:], metric)) for metric in metrics]
    return {
        "results": tables,
        "costs": cost_tables.cost_table(view),
        "cost_notes": cost_tables.cost_notes(view),
        "samples": accuracy.sample_table(view, story.target_top1),
        "winner": accuracy.winner_beyond(view),
        "efficiency": cost_tables.efficiency_table(view),
        "gaps": accuracy.gap_table(view),
        "classes": accuracy.class_table(view, shares),
        "rankings": [accuracy.ranking_table(view, images) for images in view.sizes],
        "epochs": accuracy.epochs_table(view, story.epochs),
        "times": cost_tables.time_table(view),
        "targets": target_table(story, view),
        "repeats": cost_tables.repeat_table(view, story.repeats),
        "machines": cost_tables.machine_table(views),
        "data_size": album.data_size(view),
        "trade_offs": album.trade_offs(view),
        "bars": album.bars(view),
        "losses": album.losses(view),
        "gap_chart": album.gaps(view),
        "heat_map": album.heat_map(shares),
        "confusion": album.confusion(view),
    }


def cells_table(form: Form, results: Results) -> Table:
    """Every cell of the grids on every machine, its result, and the command that repeats it."""
    pipeline = (form.folder / "dvc.yaml").as_posix()
    ran: dict[str, list[Mapping[Any, Any]]] = {}
    for found in results.cells.to_dict("records"):
        ran.setdefault(found["cell"], []).append(found)
    rows = []
    for cell in form.cells:
        command = f"dvc repro -f -s {pipeline}:{cell.grid}@{cell.name}"
        for row in ran.get(cell.name, [{}]):
            state = (row["why"] or percent(row[results.main])) if row else "not run"
            seconds = duration(row.get("cell_seconds")) if row else ""
            rows.append((cell.name, state, seconds, str(row.get("machine", "")), command))
    head = ("cell", "result", "took", "hardware DNA", "command that repeats it")
    return Table(head, tuple(rows), numeric=(1, 2))


def _lead(form: Form, results: Results, views: Sequence[View]) -> str:
    """Which form was run, on what, where."""
    which = "small form" if form.name != form.study else "full form"
    if not views:
        return f"{which.capitalize()}; no cell has finished yet."
    data = ", ".join(sorted(set(results.cells["dataset"])))
    sizes = " / ".join(f"{images:,}" for images in views[0].sizes)
    facts = results.machines[views[0].machine]
    device = facts.get("accelerator") or facts.get("chip") or "unknown device"
    where = f"{device} ({facts.get('backend')}), hardware DNA {views[0].machine}"
    more = f" and {len(views) - 1} more machines" if len(views) > 1 else ""
    tests = int(results.finished["test_images"].max())
    return (
        f"{which.capitalize()} on {data}: {sizes} training and {tests:,} test images, run on "
        f"{where}{more}."
    )


def _notes(form: Form, results: Results) -> list[str]:
    """What a reader must know before believing the page."""
    said = []
    ran = set(results.cells["cell"])
    missing = [cell.name for cell in form.cells if cell.name not in ran]
    if missing:
        said.append(f"{len(missing)} of {len(form.cells)} cells have not run yet.")
    for row in results.cells[results.cells["status"] == "diverged"].to_dict("records"):
        said.append(f"{row['cell']} {row['why']}; it has no accuracy.")
    codes = [code if isinstance(code, str) else None for code in results.cells["code"]]
    if note := code_note(form, codes):
        said.append(note)
    if form.file.stands_for:
        pairs = ", ".join(f"{ours} for {theirs}" for ours, theirs in form.file.stands_for.items())
        said.append(f"In this form stand {pairs}; claims are written in the source's words.")
    if form.name != form.study:
        said.append(
            "The small form shows that the study runs and which way it leans; its accuracies are "
            "far below those of full training and must not be held against published ones."
        )
    return said


def _tiles(
    form: Form, results: Results, views: Sequence[View], judged: Judged, advice: Sequence[Advice]
) -> list[Tile]:
    shown = []
    if views:
        rows = views[0].at(views[0].sizes[-1])
        best, tied = rows.iloc[0], int(rows["tied"].sum()) - 1
        detail = f"{100 * best['mean']:.1f} ± {100 * (best['high'] - best['mean']):.1f} %"
        if tied:
            detail += f", tied with {tied} more"
        shown.append(Tile(f"best at {views[0].sizes[-1]:,} images", str(best["series"]), detail))
    shown += [
        Tile(item.use, item.series, item.figures) for item in advice if item.use != "balanced"
    ]
    if judged:
        held = sum(verdicts[0].status == "holds" for _, verdicts in judged if verdicts)
        detail = counted(judged) if views else "nothing has run"
        shown.append(Tile("claims that hold", f"{held} of {len(judged)}", detail))
    done = len(set(results.cells["cell"]))
    seconds = results.cells["cell_seconds"].sum() if done else None
    shown.append(Tile("cells", f"{done} of {len(form.cells)}", f"{duration(seconds)} in all"))
    return shown


def _spread(view: View) -> str:
    spread = view.spread
    if not spread.freedom:
        return (
            "One seed per cell: the intervals are those of the test images alone and say nothing "
            "of how another seed would do."
        )
    return (
        "Mean ± 95 % interval over seeds (number of runs). The spread of one run, "
        f"{100 * spread.sd:.2f} points, is pooled over all groups of this machine "
        f"({spread.freedom} degrees of freedom, Student's t)."
    )
