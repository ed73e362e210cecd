"""What is computed on the present machine, as sections beside those of the records."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stages.comparison.analysis.findings import Rung
from stages.comparison.page.section import Grid, Section
from stages.comparison.rerun.origin import (
    Op,
    Origins,
    capture_ops,
    find_origins,
    load_ops,
    ops_as_json,
)
from stages.comparison.rerun.replay import Replayed, place_in_words, replay
from stages.core.counts import counted
from stages.core.files import write_json
from stages.runs.run import Run
from stages.runs.sources import Source


def local_replay(source: Source, record: Run) -> tuple[Section, Rung]:
    """Replay a run's kept steps; different when any is apart by more than rounding."""
    steps = replay(source, record)
    rows = tuple(
        (
            str(s.step),
            _format_distance(s.distance),
            _format_distance(s.perturbed_distance),
            _place(s),
        )
        for s in steps
    )
    head = ("step", "distance of gradients", "by one ULP", "first divergence")
    rung = _rung(steps)
    sentences = (
        f"The steps after {record.name}'s snapshots, computed again here from its own state: "
        f"{rung.words}. Distances are relative to the norm of the gradients; beside them, what a "
        "change of the first layer's weights by one ULP does here.",
        *(f"{step.describe()[0].upper()}{step.describe()[1:]}." for step in steps),
    )
    return Section(
        "replay", "Replay on this machine", sentences, (Grid(head, rows, (0, 1, 2)),)
    ), rung


def _rung(steps: Sequence[Replayed]) -> Rung:
    if any(step.beyond for step in steps):
        return Rung.DIFFERENT
    return Rung.ROUNDING if any(step.bits for step in steps) else Rung.BIT_IDENTICAL


def _format_distance(distance: float | None) -> str:
    return "–" if distance is None else f"{distance:.1e}"


def _place(step: Replayed) -> str:
    place = step.beyond or step.bits
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
