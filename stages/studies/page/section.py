"""One data set's sections of a study's page: its answer, tables and pictures on every machine.

The first view is shown whole; further machines add columns to results, and rows to costs, times and
verdicts on claims.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from stages.core.combinations import DEFAULT_TASK
from stages.pages.blocks import Tile
from stages.pages.formatting import percent
from stages.studies.analysis.advice import NONE_YET, advise, even_text, unlearned_text
from stages.studies.analysis.certainty import alone, tied
from stages.studies.analysis.fine_tuning import fine_tuning
from stages.studies.analysis.fitted_curves import Fitted, fitted_curves
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.traced import Traced, over, share_text
from stages.studies.page import accuracy_tables as accuracy
from stages.studies.page import album, cost_tables, size_tables
from stages.studies.page.agreement_text import compared
from stages.studies.page.cautions import cautions, interval_text
from stages.studies.page.verdicts import target_table
from stages.studies.spec.study_source import Goal, StudySource

FEW = 3  # backbones that a tile names one by one


@dataclass(frozen=True)
class Section:
    """The views of one data set and task, and what the templates show of them."""

    views: Sequence[MachineResults]
    answer: str
    leader: Tile
    uses: Sequence[Tile]
    shown: dict[str, Any]

    @property
    def view(self) -> MachineResults:
        """The machine that is shown whole."""
        return self.views[0]


def section(story: StudySource, views: Sequence[MachineResults], goals: Sequence[Goal]) -> Section:
    """The sections of one data set, from a view per machine that ran it."""
    view = views[0]
    advice = [*advise(view), *fine_tuning(view)]
    shown = {
        "name": problem_name(view),
        "spread": interval_text(view),
        "cautions": cautions(view),
        "seeds_told": view.scores.seeds_told(view.cells),
        "compared": compared(views),
        "advice": advice,
        "main_size": f"{view.main_size:,}",
        "targets": target_table(story.model_copy(update={"targets": list(goals)}), views),
        "repeats": cost_tables.repeat_table(view, story.repeats),
    }
    said = (leader := leader_tile(view)).detail  # a reason stands once
    uses = [
        Tile(item.use, item.series, "" if item.figures == said else item.figures)
        for item in advice
        if item.use != "balanced"
    ]
    curves, classes = fitted_curves(view), accuracy.class_shares(view)
    shown |= {"tiles": uses, "winner": _winner(view, curves)}
    shown |= {"samples": size_tables.sample_table(view, curves, story.target_top1)}
    shown |= {"classes": accuracy.class_table(view, classes)}
    shown |= _tables(story, views) | _pictures(view, curves, classes)
    return Section(views, answer(view), leader, uses, shown)


def problem_name(view: MachineResults) -> str:
    """The data set, and the task where it is not to name the class."""
    row = view.cells.iloc[0]
    return str(row["dataset"]) + ("" if row["task"] == DEFAULT_TASK else f", {row['task']}")


def answer(view: MachineResults) -> str:
    """Who is best at the main size, and how sure that is, in a sentence."""
    images, rows = view.main_size, view.ranked(view.main_size)
    if rows.empty:
        runs = view.cells[view.cells["train_images"] == images]
        reason = f"{unlearned_text(view, images)}{even_text(view, runs)}"
        return f"No answer with {images:,} images yet, {reason}."
    best = rows.iloc[0]
    name = str(best["series"])
    told = f"With {images:,} images {name} has the highest accuracy, {share_text(best)}: "
    if others := [str(one) for one in rows.loc[rows["tied"], "series"]][1:]:
        told += f"all pairs judged at once, not to be told from {', '.join(others)}"
    else:
        told += alone(view, images) or tied(view, images, name)
    return over(view.cells, f"{told}.{_at_other_sizes(view)}")


def _at_other_sizes(view: MachineResults) -> str:
    """Who has the highest mean at each other size, of how many that ran."""
    told = []
    for images in view.sizes:
        rows, ran = view.ranked(images), len(view.at(images))
        if images != view.main_size and ran > 1:
            best = "none that has learned"
            if len(rows):
                best = f"{rows['series'].iloc[0]} ({percent(float(rows['mean'].iloc[0]))})"
            told.append(f"with {images:,} {best} of {ran}")
    return f" Highest elsewhere: {', '.join(told)}." if told else ""


def leader_tile(view: MachineResults) -> Tile:
    """Who is best at the main size."""
    images = view.main_size
    rows = view.ranked(images)
    if rows.empty:
        return Tile(f"best at {images:,} images", NONE_YET, unlearned_text(view, images))
    best, tied = rows.iloc[0], [str(name) for name in rows.loc[rows["tied"], "series"]][1:]
    detail = share_text(best)
    if tied:
        others = ", ".join(tied) if len(tied) <= FEW else f"{len(tied)} others"
        detail += f", not to be told from {others}"
    compared = view.cells[view.cells["train_images"] == images]
    label = f"{'highest' if tied else 'best'} at {images:,} images"
    return Tile(label, str(best["series"]), over(compared, detail))


def no_curve(view: MachineResults) -> str:
    """Why there is no learning curve."""
    if len(view.sizes) < 2:
        return "One size was run: a learning curve needs at least two."
    kind = "backbone" if len(view.form.file.recipes) == 1 else "backbone and recipe"
    return (
        f"No {kind} is surely above one answer to every image at its largest size and at another: "
        "a learning curve needs both."
    )


def _tables(story: StudySource, views: Sequence[MachineResults]) -> dict[str, Any]:
    view, others = views[0], views[1:]
    metrics = view.results.metrics
    return {
        "results": [(name, accuracy.results_table(view, others, name)) for name in metrics],
        "balanced": accuracy.balanced_table(view),
        "rankings": [
            table for images in view.sizes if (table := accuracy.ranking_table(view, images))
        ],
        "costs": cost_tables.cost_table(views),
        "cost_notes": cost_tables.cost_notes(views),
        "efficiency": cost_tables.efficiency_table(view),
        "no_curve": no_curve(view),
        "epochs": accuracy.epochs_table(view, story.epochs),
        "gaps": accuracy.gap_table(view),
        "class_error": accuracy.class_error(view),
        "no_classes": f"Not shown, {unlearned_text(view, view.main_size)}.",
        "times": cost_tables.time_table(views),
        "fitted": cost_tables.all_fitted(views),
    }


def _winner(view: MachineResults, curves: Mapping[str, Fitted]) -> str | None:
    told = size_tables.winner_beyond(view, curves)
    if told is None:
        return None
    cells = (cell for found in curves.values() for cell in found.cells["cell"])
    return Traced(told, map(str, cells))


def _pictures(
    view: MachineResults, curves: Mapping[str, Fitted], classes: pd.DataFrame
) -> dict[str, Any]:
    return {
        "bars": album.bars(view),
        "trade_offs": album.trade_offs(view),
        "data_size": album.data_size(view, curves),
        "gap_chart": album.gaps(view),
        "losses": album.losses(view),
        "heat_map": album.heat_map(view, classes),
        "confusion": album.confusion(view),
    }
