"""The source beside the runs: its claims with verdicts, its figures, its targets.

Leaves the language of claims to `claims`.
"""

from collections.abc import Sequence

from stages.reporting.parts import Table
from stages.reporting.words import NONE, duration, number, percent
from stages.studies.claims import Verdict, judge
from stages.studies.story import Claim, Goal, Reported, Story
from stages.studies.table import View
from stages.studies.traced import Traced, over

Judged = list[tuple[Claim, list[Verdict]]]


def judge_all(story: Story, views: Sequence[View]) -> Judged:
    """Every claim with its verdict on each machine."""
    return [
        (claim, [judge(claim.claim, view.form, view.results, view.machine) for view in views])
        for claim in story.claims
    ]


def claims_table(judged: Judged) -> Table | None:
    """The claim, the source's figure, and verdict and figures per machine."""
    if not judged:
        return None
    machines = len(judged[0][1])
    head = ["claim", "at the source"]
    for place in range(1, machines + 1):
        tag = f" · machine {place}" if machines > 1 else ""
        head += [f"verdict{tag}", f"here{tag}"]
    rows = []
    for claim, verdicts in judged:
        told = [text for one in verdicts for text in (one.status, Traced(one.told, one.cells))]
        rows.append((claim.claim, claim.source, *told))
    return Table(tuple(head), tuple(rows))


def counted(judged: Judged) -> str:
    """How the claims stand on the first machine: "3 hold, 1 does not, 2 need more runs"."""
    if not judged:
        return "no claims"
    states = [verdicts[0].status for _, verdicts in judged]
    words = {
        "holds": "hold",
        "does not hold": "do not",
        "too few runs": "undecided",
        "not run": "not run",
    }
    return ", ".join(
        f"{states.count(state)} {word}" for state, word in words.items() if state in states
    )


def reported_table(story: Story, view: View | None) -> Table | None:
    """The source's figures, with ours where there are any; a number leads to `slips`."""
    if not story.reported:
        return None
    rows, marks = [], 0
    for row in story.reported:
        marks += 1 if row.corrected else 0
        mark = f"[{marks}]" if row.corrected else None
        rows.append((
            " ".join(part for part in (row.model, row.recipe, mark) if part),
            NONE if row.size is None else str(row.size),
            percent(row.top1), _ours(row, view), percent(row.train_top1), number(row.params_m),
            number(row.macs_g), number(row.latency_ms), number(row.images_per_second),
            _seconds(row),
        ))  # fmt: skip
    head = ("backbone", "images", "accuracy", "here", "training accuracy", "parameters (M)",
            "MACs (G)", "latency (ms)", "images/s", "training time")  # fmt: skip
    return _without_empty(Table(head, tuple(rows), numeric=tuple(range(2, 10))))


def slips(story: Story) -> list[str]:
    """The notes to `reported_table`: what was wrong at the source."""
    corrected = [row.corrected for row in story.reported if row.corrected]
    return [f"[{place}] Corrected: {text}" for place, text in enumerate(corrected, 1)]


def target_table(story: Story, view: View) -> Table | None:
    """Accuracies that recipes should reach at full scale, and where these runs stand."""
    if not story.targets:
        return None
    rows = tuple(
        (
            " ".join(part for part in (goal.model, goal.recipe) if part),
            f"≥ {percent(goal.minimum_top1, 0)}",
            percent(goal.reported_top1, 0),
            *_reached(goal, view),
        )
        for goal in story.targets
    )
    return Table(("backbone", "target", "at the source", "here", ""), rows, numeric=(1, 2, 3))


def _ours(row: Reported, view: View | None) -> str:
    """The mean here of the cell that stands for the source's."""
    if view is None or view.cells.empty:
        return NONE
    here = {str(theirs): str(ours) for ours, theirs in view.form.file.stands_for.items()}
    cells = view.cells[view.cells["model"] == here.get(row.model, row.model)]
    if row.size is not None:
        cells = cells[cells["size"] == here.get(str(row.size), str(row.size))]
    if row.recipe is not None:
        cells = cells[cells["recipe"] == row.recipe]
    if cells.empty:
        return NONE
    return over(cells, percent(cells[view.results.main].mean()))


def _reached(goal: Goal, view: View) -> tuple[str, str]:
    means = view.main[view.main["model"] == goal.model]
    if goal.recipe is not None:
        means = means[means["recipe"] == goal.recipe]
    if means.empty:
        return NONE, "not run"
    best = means.iloc[int(means["mean"].argmax())]
    sure = not best["low"] < goal.minimum_top1 <= best["high"]
    state = "reached" if best["mean"] >= goal.minimum_top1 else "missed"
    if view.form.name != view.form.study:
        state += ", but in the small form"
    cells = view.cells[view.cells["recipe"] == best["recipe"]]
    cells = cells[(cells["model"] == best["model"]) & (cells["size"] == best["size"])]
    return over(cells, percent(best["mean"])), state if sure else f"{state}, within the interval"


def _seconds(row: Reported) -> str:
    if row.train_seconds is not None:
        return duration(row.train_seconds)
    return NONE if row.epoch_seconds is None else f"{duration(row.epoch_seconds)} per epoch"


def _without_empty(table: Table) -> Table:
    """The table without columns that have nothing in any row."""
    kept = [
        place
        for place in range(len(table.head))
        if any(row[place] not in (NONE, "") for row in table.rows)
    ]
    return Table(
        tuple(table.head[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in table.rows),
        tuple(new for new, old in enumerate(kept) if old in table.numeric),
    )
