"""The answer to "does it hold on another machine", in a sentence, a table and a chart per size."""

from collections.abc import Sequence
from dataclasses import dataclass

from stages.charts.study_machines import accuracy_by_machine
from stages.charts.style import metric_label
from stages.core.counts import counted
from stages.pages.blocks import Picture, Table, drawing
from stages.pages.formatting import device_name, percent
from stages.studies.analysis.agreement import Agreement, Change, agreements
from stages.studies.analysis.intervals import Estimate
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.traced import Traced, points_text

NONE_LEARNED = "no backbone is surely above one answer to every image"


@dataclass(frozen=True)
class Compared:
    """Two machines on one data set: the answer, and its evidence at each size."""

    sentence: str
    sizes: Sequence[tuple[str, Table | None]]
    charts: Sequence[Picture]


def compared(views: Sequence[MachineResults]) -> list[Compared]:
    """Each further machine against the first one that ran some of its cells."""
    told = []
    for place, other in enumerate(views):
        met = ((first, agreements(first, other)) for first in views[:place])
        if pair := next(((first, found) for first, found in met if found), None):
            told.append(_compared(pair[0], other, pair[1]))
    return told


def _compared(first: MachineResults, other: MachineResults, found: list[Agreement]) -> Compared:
    names = (f"machine {first.place}", f"machine {other.place}")
    alike = _chip(first) == _chip(other)
    named = (_named(first, alike), _named(other, alike))
    return Compared(
        _sentence(found, named, f" of {named[0]}" * (first.place > 1))
        + _best_alone(first, other, named[0], found)
        + _best_alone(other, first, named[1], found),
        [(_line(one, names), _table(one, names)) for one in found],
        [_chart(one, names, first) for one in found if one.changes],
    )


def _sentence(found: Sequence[Agreement], names: tuple[str, str], whose: str) -> str:
    """The answer in a line; `whose` it is, is said where it is not machine 1's."""
    told = [one for one in found if one.stands is not None]
    where = f"On {names[0]} and {names[1]}"
    if not told:
        return f"{where} the answer cannot be compared: {NONE_LEARNED}."
    beyond = sum(len(one.beyond) for one in told)
    changes = sum(len(one.changes) for one in told)
    moved = "its accuracy moved by no more" if changes == 1 else "no accuracy moved by more"
    if beyond:
        moved = f"{beyond} of {counted(changes, 'accuracy', 'accuracies')} moved by more"
    seeds = any(change.seeds is not None for one in told for change in one.changes)
    moved += (
        " than seeds and test images explain"
        if seeds
        else " than test images explain; how far seeds differ is not known, for none was repeated"
    )
    if unknown := [f"{one.images:,}" for one in found if one.stands is None]:
        moved += f"; at {_listed(unknown)} none has learned"
    broken = [f"{one.images:,}" for one in told if not one.stands]
    if broken:
        return f"{where} the answer is not the same at {_listed(broken)} images; {moved}."
    if all(len(one.changes) == 1 for one in told):
        return f"{where} there is no ranking to compare: {_first(told)}; {moved}."
    sizes = _listed([f"{one.images:,}" for one in told])
    sure = all(one.holds for one in told)
    holds = (
        f"The answer{whose} holds on" if sure else f"Nothing speaks against the answer{whose} on"
    )
    return f"{holds} {names[1]} at {sizes} images: {_first(told)}; {moved}."


def _best_alone(
    view: MachineResults, other: MachineResults, named: str, found: Sequence[Agreement]
) -> str:
    """A sentence where a machine's best backbone is not among those compared."""
    alone: dict[tuple[str, str], list[str]] = {}
    for one in found:
        ranked = view.ranked(one.images)
        met = {change.series for change in one.changes}
        if len(ranked) and (best := str(ranked["series"].iloc[0])) not in met:
            score = percent(float(ranked["mean"].iloc[0]))
            ours, theirs = (set(own.cells_of(best, one.images)["cell"]) for own in (view, other))
            why = "is none of those compared" if ours & theirs else "is in no run that both did"
            why = why if theirs else "was run on it alone"
            alone.setdefault((best, why), []).append(f"{one.images:,} images ({score})")
    return "".join(
        f" {best}, the best of {named} at {_listed(sizes)}, {why}."
        for (best, why), sizes in alone.items()
    )


def _first(told: Sequence[Agreement]) -> str:
    """Who leads at the largest size."""
    largest = told[-1]
    where = f"at {largest.images:,} " if len(told) > 1 else ""
    if len(largest.changes) == 1:
        return where + _alone(largest)
    return where + _leading(largest, ("the first", "the other"))


def _alone(one: Agreement) -> str:
    """Why there is nothing to rank: one series was run on both, or one alone has learned."""
    name = one.changes[0].series
    if one.ran == 1:
        return f"only {name} was run on both"
    return f"of the {one.ran} that both ran {name} alone is surely above one answer to all"


def _leading(one: Agreement, names: tuple[str, str]) -> str:
    a, b = one.leaders or ("", "")
    where = "both" if a == b else f"{names[0]}, {b} on {names[1]}"
    part = f", out of {one.of} that ran on one of them" * (2 * one.ran <= one.of)
    told = f"of the {len(one.changes)} compared{part}, {a} is first on {where}"
    if a != b and one.leaders_tied:
        told += ", and neither machine can tell the two apart"
    return told + (f" (Kendall's tau {_between(one.tau)})" if one.tau is not None else "")


def _chip(view: MachineResults) -> str:
    facts = view.results.machines[view.machine]
    return device_name(facts)


def _named(view: MachineResults, alike: bool) -> str:
    """A machine with its chip, and where another has the like, with its DNA."""
    return f"machine {view.place} ({_chip(view)}{f', DNA {view.machine}' if alike else ''})"


def _line(one: Agreement, names: tuple[str, str]) -> str:
    told = f"{one.images:,} images: "
    if one.leaders is None:
        return told + NONE_LEARNED + "."
    if len(one.changes) == 1:
        told += _alone(one)
    else:
        told += _leading(one, names)
    swapped = [pair for pair in one.swapped if pair not in one.reversed]
    if swapped:
        told += f"; change places within their intervals: {_pairs(swapped)}"
    if one.reversed:
        told += f"; reversed, and both machines are sure: {_pairs(one.reversed)}"
    told_of = [change for change in one.changes if change.seeds is not None]
    if told_of:
        runs = counted(sum(len(change.by_cell) for change in told_of), "run")
        ends = [f"{100 * end(change.seeds or 0.0 for change in told_of):.1f}" for end in (min, max)]
        by_backbone = ", by backbone" if len(set(ends)) > 1 else ""
        told += (
            f"; of single runs, test images aside, another seed moves one by at most "
            f"{' to '.join(dict.fromkeys(ends))} points{by_backbone}, the other machine "
            f"{len(one.beyond_seeds) or 'none'} of {runs} by more"
        )
    return told + "."


def _between(tau: Estimate) -> str:
    """Kendall's tau cannot leave -1 … 1, so its interval is cut there."""
    if tau.low is None or tau.high is None:
        return f"{tau.value:.2f}"
    return f"{tau.value:.2f}, interval {max(-1.0, tau.low):.2f} to {min(1.0, tau.high):.2f}"


def _table(one: Agreement, names: tuple[str, str]) -> Table | None:
    ordered = sorted(one.changes, key=lambda change: -change.first.value)
    rows = tuple(_row(change) for change in ordered)
    head = ("backbone", *names, "change in points", "of single runs", "beyond seeds and images")
    return Table(head, rows, numeric=(1, 2, 3, 4)) if rows else None


def _row(change: Change) -> tuple[str, ...]:
    gap = change.difference
    shown = Traced(points_text(gap.value, gap.half_width), change.by_cell)
    ends = dict.fromkeys(points_text(end(change.by_cell.values())) for end in (min, max))
    means = (percent(change.first.value), percent(change.second.value))
    runs = Traced(" to ".join(ends), change.by_cell)
    return (change.series, *means, shown, runs, "no" if gap.open else "yes")


def _chart(one: Agreement, names: tuple[str, str], view: MachineResults) -> Picture:
    rows = [(change.series, _mean(change.first), _mean(change.second)) for change in one.changes]
    label = metric_label(view.results.metrics[0])
    figure = accuracy_by_machine(rows, names, label, f"{one.images:,} images")
    return drawing(figure, f"Test {label} of each backbone on {names[0]} and {names[1]}")


def _mean(estimate: Estimate) -> tuple[float, float]:
    return estimate.value, estimate.half_width or 0.0


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return _listed([f"{a} and {b}" for a, b in pairs])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
