"""What is computed on the present machine, as sections beside those of the records."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stages.comparison.analysis.findings import Rung
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.terms import replayed_in_words, where_in_words
from stages.comparison.rerun.answers import Answered
from stages.comparison.rerun.found import Replay, Replayed, place_in_words
from stages.comparison.rerun.origin import (
    Op,
    Origins,
    capture_ops,
    find_origins,
    load_ops,
    ops_as_json,
)
from stages.comparison.rerun.replay import SECONDS, replay
from stages.core.combinations import AT_ONCE
from stages.core.counts import counted
from stages.core.device import device_of
from stages.core.errors import RunError
from stages.core.files import write_json
from stages.runs.run import Run
from stages.runs.schema import CELL
from stages.runs.sources import Source


def require_no_cell(source: Source) -> None:
    """Raise RunError for a study's cell, of which nothing can be computed again."""
    if source.read(CELL) is not None:
        raise RunError(
            f"{source.name} is a study's cell, which keeps neither states nor the list of its "
            f"images: nothing of it can be computed again here. Run the parameters in its {CELL} "
            "in the pipeline (`dvc exp run -S …`), and name that run."
        )


def local_replay(
    source: Source, record: Run, seconds: float = SECONDS, other: Run | None = None
) -> tuple[Section, Replay]:
    """Compute a run again here from its own states, and show what was found."""
    found = replay(source, record, seconds, other)
    steps = tuple(
        (
            str(s.step),
            _format_distance(s.distance),
            _format_distance(s.perturbed_distance),
            _place(s),
        )
        for s in found.after_states
    )
    stretches = tuple(
        (
            _span(s.after + 1, s.until),
            _format_distance(s.distance),
            _format_distance(s.by_one_ulp),
            where_in_words(s.fault.where) if s.fault else "–",
        )
        for s in found.stretches
    )
    sentences = (
        f"{record.name}, computed again here from what it kept{_elsewhere(found, record)}: "
        f"{rung_of(found).words}.",
        *_crossed(found, record, other),
        *([f"{_capital(replayed_in_words(found.fault, record.name))}."] if found.fault else []),
        _followed_in_words(found, record),
        *(_tie_in_words(step) for step in found.after_states if step.tie),
        *([_answered_in_words(found.answered)] if found.answered else []),
        "Distances are relative to the norm; beside them, what a change of the first layer's "
        "weights by one ULP does here.",
    )
    by_one_ulp = "by one ULP"
    grids = (
        Grid(("step", "distance of gradients", by_one_ulp, "first divergence"), steps, (0, 1, 2),
             title="Steps after a state"),
        Grid(("steps", "distance of weights", by_one_ulp, "more than rounding"), stretches, (1, 2),
             title="From state to state"),
    )  # fmt: skip
    shown = tuple(grid for grid in grids if grid.rows)
    return Section("replay", "Replay on this machine", sentences, shown), found


def _elsewhere(found: Replay, record: Run) -> str:
    own = device_of(record.hardware.get("backend", found.device))
    return f", on {found.device} instead of {own}" if own != found.device else ""


def _crossed(found: Replay, record: Run, other: Run | None) -> Iterator[str]:
    """Whether this was the arithmetic of another run's kind of device."""
    theirs = device_of(other.hardware.get("backend", "")) if other else ""
    if other and _elsewhere(found, record) and theirs == found.device:
        yield (
            f"So its steps are held, from its own states, against {found.device}, on which "
            f"{other.name} was computed."
        )


def _span(first: int, last: int) -> str:
    return f"{first}–{last}" if last > first else str(first)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _followed_in_words(found: Replay, record: Run) -> str:
    """How much of the run was computed again, for what was not is not known to be in order."""
    if (finetune := record.params.get("finetune")) in AT_ONCE:
        return f"A {finetune} is fitted at once: it has no states to compute steps from."
    if not found.stretches:
        return "No state to compute its steps from is at hand (`dvc pull data/snapshots`)."
    covered = sum(stretch.until - stretch.after for stretch in found.stretches)
    told = f"{covered} of {counted(found.steps, 'step')} were computed again"
    left = [s for s in found.stretches if s.until < s.end]
    if left:
        spans = ", ".join(_span(s.until + 1, s.end) for s in left)
        return f"{told}, as many as the time allowed; not those of {spans}."
    return f"{told}."


def _tie_in_words(step: Replayed) -> str:
    return (
        f"At step {step.step} a choice between values that are equal but for rounding, as in "
        "max-pooling or at zero in ReLU, fell the other way: gradients are apart by "
        f"{_format_distance(step.distance)}, and the same ones come out here once what every layer "
        "gives is rounded otherwise."
    )


def _answered_in_words(found: Answered) -> str:
    return (
        f"The kept weights, put to {counted(found.images, 'test image')} here: confidences differ "
        f"by {found.confidence:.1e} on average, {found.confidence_by_one_ulp:.1e} after one ULP; "
        f"the loss by {found.loss:.1e}, {found.loss_by_one_ulp:.1e} after one ULP."
    )


def rung_of(found: Replay) -> Rung:
    """What the replay by itself shows; different when anything is apart by more than rounding."""
    if found.fault is not None:
        return Rung.DIFFERENT
    apart = any(step.bits for step in found.after_states)
    apart |= found.answered is not None and found.answered.loss > 0
    # Answers alone, to four digits, show no equal bits, nor do steps that were left out.
    same = found.all_steps and all(stretch.same for stretch in found.stretches)
    return Rung.BIT_IDENTICAL if same and not apart else Rung.ROUNDING


def _format_distance(distance: float | None) -> str:
    return "–" if distance is None else f"{distance:.1e}"


def _place(step: Replayed) -> str:
    place = step.beyond or step.tie or step.bits
    return place_in_words(place) if place else "–"


def local_origins(a: tuple[Source, Run], b: tuple[Source, Run] | None, log: Path | None) -> Section:
    """The first operation with other bits: between two machines' switches, or with a log.

    With `log`, A's first step here is held against the one that the log's machine made.
    """
    if log is not None:
        theirs, ours = load_ops(log), capture_ops(a[0])
        return _origins(find_origins(theirs, ours), f"{a[0].name} here against {log.name}")
    if b is None:
        return _origins(
            find_origins(*_both(a, (a[0], None))), f"{a[0].name}'s machine and this one"
        )
    what = f"{a[0].name} and {b[0].name}, both computed here with the switches of their machines"
    return _origins(find_origins(*_both(a, b)), what)


def _both(a: tuple[Source, Run], b: tuple[Source, Run | None]) -> tuple[list[Op], list[Op]]:
    """Two logs, each made in a process of its own, at the same time."""
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lambda run: capture_ops(*run), (a, b))
    return ours, theirs


def _origins(found: Origins, what: str) -> Section:
    rows = tuple((op.name, op.module, op.dtype) for op in found.origins[:20])
    grids = (Grid(("operation", "module", "type"), rows, title="Equal inputs, other output"),)
    sentence = f"{what}: {found.describe()}"
    return Section("origin", "First operation with other bits", (sentence,), grids if rows else ())


def save_ops(source: Source, log: Path) -> str:
    """Log this machine's operations in the run's first step; a sentence about it."""
    ops = capture_ops(source)
    write_json(log, ops_as_json(ops))
    return f"Logged in {log}: {counted(len(ops), 'operation')} of the first step of {source.name}."
