"""A comparison arranged for reading, in the order of the questions; only what differs is shown.

The numbers come from `together`; whether a difference matters is left to `answers`.
"""

from stages.comparison.answers import matters
from stages.comparison.causes import MEANINGS, from_settings
from stages.comparison.record import Record
from stages.comparison.section import Grid, Section
from stages.comparison.together import Comparison
from stages.comparison.values import UNKNOWN, is_same, ratio_in_words, shown_pair
from stages.comparison.verdict import where_bits_part
from stages.core.counts import counted
from stages.reporting.words import number


def sections_of(found: Comparison) -> list[Section]:
    """Everything about two runs; empty sections are left out."""
    made = [_setup(found), _numerics(found), _divergence(found), matters(found), _cost(found)]
    return [section for section in made if section.sentences or section.grids]


def title_of(a: Record, b: Record) -> str:
    """The heading of a comparison."""
    return f"{a.name} compared with {b.name}"


KINDS = {
    "input": "Another experiment",
    "computation": "Computed in another way, which can change bits",
    "neutral": "Changes no result",
}
"""Kinds of differences, as tables of them are titled."""


def _setup(found: Comparison) -> Section:
    head = ("", found.a.name, found.b.name)
    grids = []
    for kind, title in KINDS.items():
        rows = [shown_pair(d.key, d.a, d.b) for d in found.differences if d.kind == kind]
        if rows:
            grids.append(Grid(head, tuple(rows), title=title, folded=kind == "neutral"))
    sentences = [] if found.differences else ["Parameters, data, code and machine are the same."]
    sentences += [f"{name} lacks {', '.join(files)}." for name, files in found.missing.items()]
    return Section("setup", "What differs in the set-up", tuple(sentences), tuple(grids))


def _numerics(found: Comparison) -> Section:
    numerics = found.numerics
    sentences = []
    grids: tuple[Grid, ...] = ()
    if numerics is None:
        sentences.append("One run or both have no metrics/numerics.json: nothing was measured.")
    elif numerics.count == 0:
        probes = counted(numerics.compared, "probed operation")
        sentences.append(f"{probes}: all have the same bits on both machines.")
    else:
        sentences.append(
            f"{numerics.count} of {counted(numerics.compared, 'probed operation')} give other bits."
        )
        if numerics.worst:
            name, error = numerics.worst
            sentences.append(f"The largest relative error among them is {error:.1e} ({name}).")
        rows = tuple(
            (group, str(len(names)), MEANINGS.get(group, "any of the above"), _few(names))
            for group, names in numerics.changed.items()
        )
        grids = (Grid(("operations", "differ", "points to", "which"), rows, (1,)),)
    if numerics:
        for name, varying in numerics.not_repeatable.items():
            which = ", ".join(varying)
            sentences.append(f"Not repeatable on {name} without deterministic algorithms: {which}.")
    if causes := from_settings(found.a, found.b):
        sentences.append(f"Differences that can change bits: {'; '.join(causes)}.")
    return Section("numerics", "Numeric DNA", tuple(sentences), grids)


def _few(names: list[str], most: int = 6) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def _divergence(found: Comparison) -> Section:
    parting, sentences = found.parting, []
    if parting is None:
        sentences.append("Without a trace of both runs the first divergence is not known.")
    elif parting.step is None:
        steps = counted(parting.compared, "traced step")
        same = f"The same bits in {steps}" if parting.compared else "The same weights"
        sentences.append(f"{same}, up to step {parting.after}.")
    else:
        words = where_bits_part(found.a, found.b).removeprefix("first divergence ")
        sentences.append(f"{words[0].upper()}{words[1:]}.")
        if parting.tensors:
            sentences.append(
                f"There {len(parting.tensors)} of {counted(parting.of, 'parameter tensor')} differ."
            )
    if found.first_step_apart:
        sentences.append(
            "At the first step the relative distance of the gradients is "
            f"{found.first_step_apart:.1e}."
        )
    return Section("divergence", "First divergence", tuple(sentences), _growth(found))


def _growth(found: Comparison) -> tuple[Grid, ...]:
    """Weight distance at a few steps: as many as fit a table, the last among them."""
    growth, twin = found.growth, found.twin_growth
    if growth is None or not any(growth.apart):
        return ()
    beside = dict(zip(twin.steps, twin.apart, strict=True)) if twin else {}
    last = len(growth.steps) - 1
    places = sorted({round(index * last / 8) for index in range(9)})
    rows = []
    for index in places:
        step = growth.steps[index]
        row = [str(step), f"{growth.apart[index]:.0e}"]
        if twin:
            row.append(f"{beside[step]:.0e}" if step in beside else UNKNOWN)
        rows.append(tuple(row))
    perturbed = [f"{found.a.name} perturbed by one ULP"] if twin else []
    head = ("after step", found.b.name, *perturbed)
    title = f"Distance of the weights from those of {found.a.name}, relative to their norm"
    return (Grid(head, tuple(rows), (0, 1, 2), title=title),)


COSTS = {
    "epoch_seconds_p50": "epoch, median (s)",
    "train_seconds": "training (s)",
    "images_per_second": "training (images/s)",
    "evaluate_seconds": "evaluation (s)",
    "latency_ms_p50": "latency, median (ms)",
    "latency_ms_p99": "latency, 99th percentile (ms)",
    "throughput_images_per_second": "inference (images/s)",
    "peak_memory_mb": "peak memory, inference (MB)",
}
"""Costs by their key in the metrics, as they are shown."""


def _cost(found: Comparison) -> Section:
    rows = tuple(
        (COSTS[cost.name], number(cost.a), number(cost.b), ratio_in_words(cost.times_better))
        for cost in found.costs
        if not is_same(cost.times_better)
    )
    if not rows:
        return Section("cost", "What it costs")
    head = ("", found.a.name, found.b.name, f"{found.b.name} is")
    return Section("cost", "What it costs", (), (Grid(head, rows, (1, 2)),))
