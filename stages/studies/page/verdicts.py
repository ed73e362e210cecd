"""The source beside the runs: its claims with verdicts, its figures, its targets."""

from collections.abc import Sequence

import pandas as pd

from stages.pages.blocks import Table, Tile
from stages.pages.formatting import NONE, duration, number, percent
from stages.studies.analysis.judging import Verdict, judge
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.traced import Traced, over
from stages.studies.spec.study_source import Claim, Goal, Reported, StudySource

Judged = list[tuple[Claim, list[Verdict]]]
DIFFERS = "differs"
COUNTED = {  # one, several
    "holds": ("holds", "hold"),
    "does not hold": ("does not", "do not"),
    DIFFERS: ("differs between machines", "differ between machines"),
    "undecided": ("undecided", "undecided"),
    "not judged": ("not judged", "not judged"),
    "not run": ("not run", "not run"),
}


def judge_all(story: StudySource, views: Sequence[MachineResults]) -> Judged:
    """Every claim with its verdict on each machine."""
    return [
        (claim, [judge(claim.claim, view.form, view.results, view.machine) for view in views])
        for claim in story.claims
    ]


def claims_table(judged: Judged) -> Table | None:
    """The claim, the source's figure, and verdict and figures, a row per machine that has any."""
    if not judged:
        return None
    rows = []
    for claim, verdicts in judged:
        named = (_marked(claim, verdicts), claim.source)
        for place, verdict in _told(verdicts):
            told = (verdict.status, Traced(verdict.told, verdict.cells))
            rows.append((*named, place, *told))
            named = ("", "")
    table = Table(("claim", "at the source", "on", "verdict", "here"), tuple(rows))
    return table if len(judged[0][1]) > 1 else table.without("on")


def _told(verdicts: Sequence[Verdict]) -> list[tuple[str, Verdict]]:
    """By number of the machine; where none has run it, what the first lacks."""
    found = [
        (f"machine {place}", one)
        for place, one in enumerate(verdicts, 1)
        if one.status != "not run"
    ]
    return found or [(NONE, verdicts[0] if verdicts else Verdict("not run", NONE, (), ()))]


def claims_tile(judged: Judged) -> Tile | None:
    """How the source's claims stand, each on the machine that is surest of it.

    Verdicts on models that stand in for the source's are not verdicts on its claims: they are
    counted apart.
    """
    own = [verdicts for _, verdicts in judged if verdicts and not verdicts[0].stand_ins]
    others = sum(bool(verdicts and verdicts[0].stand_ins) for _, verdicts in judged)
    if not judged:
        return None
    if not own and not others:
        return Tile("claims that hold", f"0 of {len(judged)}", "nothing has run")
    states = [_surest(verdicts) for verdicts in own]
    counts = {state: states.count(state) for state in COUNTED if state in states}
    told = [f"{count} {COUNTED[state][count > 1]}" for state, count in counts.items()]
    told += [f"{others} about a model in place of the source's, not counted"] if others else []
    return Tile("claims that hold", f"{states.count('holds')} of {len(own)}", ", ".join(told))


def answering(judged: Judged) -> list[tuple[str, str, str]]:
    """The claims that answer the study's question: in words, verdict, and figures behind it, of
    the first machine that says so.
    """
    told: list[tuple[str, str, str]] = []
    for claim, verdicts in judged:
        if claim.answers and verdicts:
            state = _surest(verdicts)
            own = [place for place, one in enumerate(verdicts) if one.status == state]
            place = own[0] if own else 0
            where = f" · machine {place + 1}" * (place > 0)
            figures = Traced(verdicts[place].told + where, verdicts[place].cells)
            told.append((_marked(claim, verdicts), state, figures))
    return told


def _surest(verdicts: Sequence[Verdict]) -> str:
    """The first state in the order of COUNTED that a machine gives; DIFFERS if two contradict."""
    found = {verdict.status for verdict in verdicts}
    if {"holds", "does not hold"} <= found:
        return DIFFERS
    return next(state for state in COUNTED if state in found)


def _marked(claim: Claim, verdicts: Sequence[Verdict]) -> str:
    """The claim, with the model that ran in its place behind the one of the source."""
    ours = dict(pair for verdict in verdicts for pair in verdict.stand_ins)
    words = claim.claim.split()
    told = (f"{word} (here {ours[word]})" if word in ours else word for word in words)
    return " ".join(told) + (f" ({claim.remark})" if claim.remark else "")


def reported_table(story: StudySource, views: Sequence[MachineResults]) -> Table | None:
    """The source's figures, with those of the first machine that has any; a number leads to
    `slips`.
    """
    if not story.reported:
        return None
    rows, marks, view = [], 0, views[0] if views else None
    for row in story.reported:
        noted = bool(row.corrected or row.remark)
        marks += noted
        name = (row.model, row.recipe, _stand_in(row, view), f"[{marks}]" if noted else None)
        rows.append((
            " ".join(part for part in name if part),
            NONE if row.size is None else _size(row.size, view),
            percent(row.top1), _ours(row, views), percent(row.turn_top1),
            NONE if row.turn_top1 is None else _ours(row, views, "test_turn_top1"),
            percent(row.train_top1), number(row.params_m), number(row.macs_g),
            number(row.latency_ms), number(row.images_per_second), _seconds(row),
        ))  # fmt: skip
    head = ("backbone", "images", "accuracy", "here", "turn accuracy", "turn, here",
            "training accuracy", "parameters (M)", "MACs (G)", "latency (ms)", "images/s",
            "training time")  # fmt: skip
    return Table(head, tuple(rows), numeric=tuple(range(2, 12))).without_empty()


def slips(story: StudySource) -> list[str]:
    """The notes to `reported_table`: what was wrong at the source, and what else to know of it."""
    noted = [row for row in story.reported if row.corrected or row.remark]
    return [f"[{place}] {_note(row)}" for place, row in enumerate(noted, 1)]


def _note(row: Reported) -> str:
    told = [f"Corrected: {row.corrected}"] if row.corrected else []
    return ". ".join([*told, *([f"Remark: {row.remark}"] if row.remark else [])])


def target_table(story: StudySource, views: Sequence[MachineResults]) -> Table | None:
    """Accuracies that recipes should reach at full scale, and where these runs stand: those of
    the first machine that has any, which is named where it is not machine 1.
    """
    if not story.targets:
        return None
    rows = tuple(
        (
            " ".join(part for part in (goal.model, goal.recipe) if part),
            f"≥ {percent(goal.minimum_top1, 0)}",
            percent(goal.reported_top1, 0),
            *_reached(goal, views),
        )
        for goal in story.targets
    )
    return Table(
        ("backbone", "target", "at the source", "here", "verdict"), rows, numeric=(1, 2, 3)
    )


def _here(view: MachineResults) -> dict[str, str]:
    """By model or size of the source, the one that runs here in its place."""
    return {str(theirs): str(ours) for ours, theirs in view.form.file.stands_for.items()}


def _stand_in(row: Reported, view: MachineResults | None) -> str | None:
    """As in `(here vit_2l_2h_128)`, where another model runs in place of the source's."""
    ours = None if view is None else _here(view).get(row.model)
    return None if ours is None else f"(here {ours})"


def _size(size: int | str, view: MachineResults | None) -> str:
    """The source's number of images, and the one in its place here."""
    ours = None if view is None else _here(view).get(str(size))
    return _grouped(str(size)) if ours is None else f"{_grouped(str(size))} (here {_grouped(ours)})"


def _grouped(size: str) -> str:
    return f"{int(size):,}" if size.isdigit() else size


def _ours(row: Reported, views: Sequence[MachineResults], column: str | None = None) -> str:
    """The mean of the first machine that ran it, which is named where it is not machine 1."""
    for view in views:
        cells = _in_place(row, view, column or view.results.main)
        if not cells.empty:
            return over(cells, percent(cells[column or view.results.main].mean()) + _by(view))
    return NONE


def _by(view: MachineResults) -> str:
    return f" · machine {view.place}" if view.place > 1 else ""


def _in_place(row: Reported, view: MachineResults, column: str) -> pd.DataFrame:
    """The cells here in place of the source's that have a figure; where it names no size, of the
    largest that ran.
    """
    here = _here(view)
    cells = view.cells[view.cells["model"] == here.get(row.model, row.model)]
    if row.size is not None:
        cells = cells[cells["size"] == here.get(str(row.size), str(row.size))]
    if row.recipe is not None:
        cells = cells[cells["recipe"] == row.recipe]
    if column not in cells or cells[column].isna().all():
        return cells.head(0)
    first = cells.iloc[0]  # of several data sets or tasks the first: their accuracies never mix
    cells = cells[(cells["dataset"] == first["dataset"]) & (cells["task"] == first["task"])]
    cells = cells[cells["recipe"] == cells["recipe"].iloc[-1]]  # the last recipe, as in a claim
    largest: pd.DataFrame = cells[cells["train_images"] == cells["train_images"].max()]
    return largest


def _reached(goal: Goal, views: Sequence[MachineResults]) -> tuple[str, str]:
    for view in views:
        means = view.main[view.main["model"] == goal.model]
        if goal.recipe is not None:
            means = means[means["recipe"] == goal.recipe]
        if not means.empty:
            return _where(goal, view, means)
    return NONE, "not run"


def _where(goal: Goal, view: MachineResults, means: pd.DataFrame) -> tuple[str, str]:
    best = means.iloc[int(means["mean"].argmax())]
    sure = not best["low"] < goal.minimum_top1 <= best["high"]
    state = "reached" if best["mean"] >= goal.minimum_top1 else "missed"
    if view.form.name != view.form.study and state == "missed":
        state, sure = "not judged in the small form", True
    cells = view.cells[view.cells["recipe"] == best["recipe"]]
    cells = cells[(cells["model"] == best["model"]) & (cells["size"] == best["size"])]
    figure = over(cells, percent(best["mean"]) + _by(view))
    return figure, state if sure else f"{state}, within the interval"


def _seconds(row: Reported) -> str:
    if row.train_seconds is not None:
        return duration(row.train_seconds)
    return NONE if row.epoch_seconds is None else f"{duration(row.epoch_seconds)} per epoch"
