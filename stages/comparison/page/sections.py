"""A comparison arranged for reading, in the order of the questions; only what differs is shown.

Whether a difference matters is left to `answers`.
"""

from stages.comparison.analysis.causes import from_settings
from stages.comparison.analysis.compare_runs import Comparison
from stages.comparison.analysis.setup import ASKED, DNA, unknown_in
from stages.comparison.page.answers import matters
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.terms import MEANINGS, cause_in_words, lacking_in_words
from stages.comparison.page.values import UNKNOWN, heads, is_same, ratio_in_words, shown_pair
from stages.comparison.page.wording import divergence_in_words
from stages.core.counts import counted, first_few
from stages.pages.formatting import number
from stages.runs.run import Run


def sections_of(found: Comparison) -> list[Section]:
    """Everything about two runs; empty sections are left out."""
    made = [_setup(found), _numerics(found), _divergence(found), matters(found), _cost(found)]
    return [section for section in made if section.sentences or section.grids]


def title_of(found: Comparison) -> str:
    """The heading of a comparison."""
    more = found.verdict.pairs - 1
    others = f", and {counted(more, 'more pair')} of seeds" if more else ""
    return f"{found.a.name} compared with {found.b.name}{others}"


MOST_NAMES = 6  # in a cell
KINDS = {
    "input": "Another experiment",
    "computation": "Computed in another way, which can change bits",
    "neutral": "Changes no result",
}
"""Kinds of differences, as tables of them are titled."""


def _setup(found: Comparison) -> Section:
    head = ("", *heads(found.a.name, found.b.name))
    grids = []
    for kind, title in KINDS.items():
        rows = [shown_pair(d.key, d.a, d.b) for d in found.differences if d.kind == kind]
        if rows:
            grids.append(Grid(head, tuple(rows), title=title, folded=kind == "neutral"))
    sentences = [] if found.differences else [_nothing_differs(found)]
    if any(difference.key == DNA for difference in found.differences):
        sentences.append("The machines differ in their hardware DNA.")
    sentences += [f"{told}." for told in lacking_in_words(found.missing)]
    return Section("setup", "What differs in the set-up", tuple(sentences), tuple(grids))


def _nothing_differs(found: Comparison) -> str:
    unknown = unknown_in(found.a, found.b)
    same = [name for name in ASKED if name not in unknown]
    told = [f"{_all_of(same)} the same"] if same else []
    told += [f"whether {_all_of(unknown)} the same is not known"] if unknown else []
    return f"{'; '.join(told).capitalize()}."


def _all_of(names: list[str]) -> str:
    """Names and their verb."""
    first, last = ", ".join(names[:-1]), names[-1]
    return f"{first} and {last} are" if first else f"{last} {'are' if last.endswith('s') else 'is'}"


def _numerics(found: Comparison) -> Section:
    numerics = found.numerics
    sentences = []
    grids: tuple[Grid, ...] = ()
    if numerics is None:
        sentences.append(_digests(found.a, found.b))
    elif numerics.count == 0:
        probes = counted(numerics.compared, "probed operation")
        ids = [run.hardware.get("id") for run in (found.a, found.b)]
        one = ids[0] is not None and ids[0] == ids[1]
        both = ", for one machine made both runs" if one else " on both machines"
        sentences.append(f"{probes}: all have the same bits{both}.")
    else:
        sentences.append(
            f"{numerics.count} of {counted(numerics.compared, 'probed operation')} give other bits."
        )
        if numerics.worst:
            name, error = numerics.worst
            sentences.append(f"The largest relative error among them is {error:.1e} ({name}).")
        rows = tuple(
            (
                group,
                str(len(names)),
                MEANINGS.get(group, "any of the above"),
                first_few(names, MOST_NAMES),
            )
            for group, names in numerics.changed.items()
        )
        grids = (Grid(("operations", "differ", "points to", "which"), rows, (1,)),)
    if numerics:
        for name, varying in numerics.not_repeatable.items():
            which = ", ".join(varying)
            sentences.append(f"Not repeatable on {name} without deterministic algorithms: {which}.")
    if causes := from_settings(found.a, found.b):
        sentences.append(
            f"Differences that can change bits: {'; '.join(map(cause_in_words, causes))}."
        )
    return Section("numerics", "Numeric DNA", tuple(sentences), grids)


def _digests(a: Run, b: Run) -> str:
    """What the hash over all probes tells, which is all that a study's cell keeps of them."""
    one, other = (run.hardware.get("numeric_id") for run in (a, b))
    if not (one and other):
        return "One run or both have no numeric DNA: nothing was measured."
    if one == other:
        return f"The hash over all probed operations is the same on both machines, {one}."
    return f"Some probed operations give other bits ({one} against {other}); which, was not kept."


def _divergence(found: Comparison) -> Section:
    divergence, sentences = found.divergence, []
    if divergence is None:
        sentences.append("Without a trace of both runs the first divergence is not known.")
    elif divergence.step is None:
        steps = counted(divergence.compared, "traced step")
        same = f"The same bits in {steps}" if divergence.compared else "The same weights"
        sentences.append(f"{same}, up to step {divergence.after}.")
    else:
        words = divergence_in_words(found.own).removeprefix("first divergence ")
        sentences.append(f"{words[0].upper()}{words[1:]}.")
        if divergence.tensors:
            what = "weights" if divergence.part == "update" else "gradients"
            sentences.append(
                f"At step {divergence.step} the {what} of {len(divergence.tensors)} of "
                f"{counted(divergence.of, 'parameter tensor')} differ."
            )
    if found.own.gradient_distance:
        sentences.append(
            "At the first step the relative distance of the gradients is "
            f"{found.own.gradient_distance:.1e}."
        )
    return Section("divergence", "First divergence", tuple(sentences), _growth(found))


def are_two_models(found: Comparison) -> bool:
    """Whether both runs tell their model, and not the same."""
    models = {run.params.get("model") for run in (found.a, found.b)} - {None}
    return len(models) > 1


def _growth(found: Comparison) -> tuple[Grid, ...]:
    """Weight distance at a few steps: as many as fit a table, the last among them.

    None between two models, whose weights have nothing in common.
    """
    if are_two_models(found):
        return ()
    growth, perturbed = found.growth, found.perturbed_growth
    if growth is None or not any(growth.distance):
        return ()
    beside = dict(zip(perturbed.steps, perturbed.distance, strict=True)) if perturbed else {}
    last = len(growth.steps) - 1
    places = sorted({round(index * last / 8) for index in range(9)})
    rows = []
    for index in places:
        step = growth.steps[index]
        row = [str(step), f"{growth.distance[index]:.0e}"]
        if perturbed:
            row.append(f"{beside[step]:.0e}" if step in beside else UNKNOWN)
        rows.append(tuple(row))
    first, second = heads(found.a.name, found.b.name)
    head = ("after step", second, *([f"{first} perturbed by one ULP"] if perturbed else []))
    title = f"Distance of the weights from those of {found.a.name}, relative to their norm"
    return (Grid(head, tuple(rows), (0, 1, 2), title=title),)


COSTS = {
    "epoch_seconds_p50": "epoch, median (s)",
    "train_seconds": "training (s)",
    "images_per_second": "training with validation (images/s)",
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
    first, second = heads(found.a.name, found.b.name)
    head = ("", first, second, f"{second} is")
    told = ["Times are of one measurement each, beside whatever else the machine did then."]
    for run in (found.a, found.b):
        for what, key in (("Latency", "latency_note"), ("Load", "other_load_note")):
            if note := run.profile.get(key):
                told.append(f"{what} of {run.name}: {note}.")
    return Section("cost", "What it costs", tuple(told), (Grid(head, rows, (1, 2)),))
