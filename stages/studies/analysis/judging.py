"""What the runs say about a claim: holds, does not hold, undecided, not judged, not run.

A claim holds when the 95 % interval of the difference lies wholly on its side, does not hold when
it lies wholly on the other, and otherwise it is undecided. A single run differs from others of its
recipe as far as runs of the repeated recipes do. Accuracies and gaps of runs that are not
surely above one answer to every image are not judged: they may have learned nothing yet. Latency is
measured once per model and not once per seed: the span of its repeats stands for the interval.
Recipes that name different devices are looked up on all devices of the host; every other claim
compares runs of one machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from stages.pages.formatting import percent, rounded
from stages.studies.analysis.intervals import Estimate, Measured, is_time, latency_difference
from stages.studies.analysis.machine_results import HOST, series_of
from stages.studies.analysis.results import Results
from stages.studies.spec.claims import COSTS, LATENCY, Parsed, Side, parse
from stages.studies.spec.study_config import StudyConfig

Status = Literal["holds", "does not hold", "undecided", "not judged", "not run"]


@dataclass(frozen=True)
class Verdict:
    """How a claim stands on one machine, with a short reason in figures, and from which cells.

    `stand_ins` name, by model of the source, the model that ran in its place.
    """

    status: Status
    told: str
    cells: tuple[str, ...] = ()
    stand_ins: tuple[tuple[str, str], ...] = ()


def judge(claim: str, form: StudyConfig, results: Results, machine: str) -> Verdict:
    """The verdict of one machine's runs; `results` are of one problem. Raises ParamsError."""
    parsed = parse(claim, form)
    stand_ins = tuple(parsed.stand_ins.items())
    names = {"main": results.main, "gap": f"gap_{results.metrics[0]}"}
    column = names.get(parsed.column, parsed.column)
    if stand_ins and column in COSTS:
        told = " and ".join(f"{ours} ran in place of {theirs}" for theirs, ours in stand_ins)
        return Verdict("not run", f"{told}, whose cost is another", (), stand_ins)
    cells = _may_stand(parsed, form, results, machine)
    if column not in cells:
        return Verdict("not run", "no run measured it", (), stand_ins)
    known = cells.dropna(subset=[column])
    named, picked = sides_of(parsed, known, machine)
    reason = _absent(parsed, form, named, picked) or _one_device(parsed, form, results, picked)
    if reason:
        return Verdict("not run", reason, (), stand_ins)
    used = tuple(dict.fromkeys(name for runs in picked for name in runs["cell"]))
    if len(picked) == 2 and picked[0].index.equals(picked[1].index):
        return Verdict("not run", "the same runs stand for both here", (), stand_ins)
    common = results.errors, results.constant, results.finished
    if parsed.column in ("main", "gap"):
        scores = Measured(known, results.main, *common)
        reason = _at_chance(form, scores, picked, results)
        if reason:
            return Verdict("not judged", reason, used, stand_ins)
    measured = Measured(known, column, *common)
    status, told = _status(parsed, measured, picked)
    return Verdict(status, told, used, stand_ins)


def _may_stand(parsed: Parsed, form: StudyConfig, results: Results, machine: str) -> pd.DataFrame:
    """The cells that may stand on a side: the machine's, or its host's where devices differ."""
    cells = results.finished
    if len(_devices(parsed, form)) < 2:
        return cells[cells["machine"] == machine]
    own = results.machines[machine]
    host = [
        name
        for name, facts in results.machines.items()
        if own.get("chip") and all(facts.get(key) == own.get(key) for key in HOST)
    ]
    return cells[cells["machine"].isin([machine, *host])]


def _devices(parsed: Parsed, form: StudyConfig) -> set[str]:
    """The devices that the recipes of both sides name."""
    common = form.file.base.get("device", "auto")
    recipes = [form.file.recipes.get(side.recipe or "", {}) for side in parsed.sides]
    return {str(recipe.get("device", common)) for recipe in recipes}


def sides_of(
    parsed: Parsed, cells: pd.DataFrame, machine: str
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """The cells that each side names, and those of them that are compared.

    What a side leaves open is that of the other: the largest size, then the last recipe.
    """
    named = [_named(cells, side, machine) for side in parsed.sides]
    return named, _alike(named, parsed.sides)


def _named(cells: pd.DataFrame, side: Side, machine: str) -> pd.DataFrame:
    """The runs that a side names; the machine's own before those of its host's other devices."""
    for kind in ("model", "recipe", "size"):
        wanted = getattr(side, kind)
        if wanted is not None:
            cells = cells[cells[kind] == wanted]
    machines = list(cells["machine"].unique())
    chosen = machine if machine in machines or not machines else machines[0]
    return cells[cells["machine"] == chosen]


def _alike(named: Sequence[pd.DataFrame], sides: Sequence[Side]) -> list[pd.DataFrame]:
    found = list(named)
    for kind in ("size", "recipe"):
        column = "train_images" if kind == "size" else kind
        left_open = [getattr(side, kind) is None for side in sides]
        common = [
            value
            for value in found[0][column].unique()
            if all((runs[column] == value).any() for runs in found)
        ]
        chosen = (max(common) if kind == "size" else common[-1]) if common else None
        found = [
            runs[runs[column] == chosen] if free else runs
            for runs, free in zip(found, left_open, strict=True)
        ]
    return found


def _absent(
    parsed: Parsed,
    form: StudyConfig,
    named: Sequence[pd.DataFrame],
    picked: Sequence[pd.DataFrame],
) -> str | None:
    """Which runs are missing, and sizes of no grid; None when all are there."""
    missing = [side for side, runs in zip(parsed.sides, named, strict=True) if runs.empty]
    if missing:
        sizes = list(dict.fromkeys(str(cell.size) for cell in form.cells))
        odd = any(side.size is not None and side.size not in sizes for side in missing)
        listed = f" (sizes of the grids are {', '.join(sizes)})" if odd else ""
        return "no run of " + " or ".join(map(str, missing)) + listed
    if any(runs.empty for runs in picked):
        return "the two have not run at one size in one recipe; the claim can name them"
    return None


def _one_device(
    parsed: Parsed, form: StudyConfig, results: Results, picked: Sequence[pd.DataFrame]
) -> str | None:
    """The reason not to compare recipes for two devices that ran on one; None for any other."""
    if len(_devices(parsed, form)) < 2:
        return None
    facts = [results.machines[str(runs["machine"].iloc[0])] for runs in picked]
    devices = {one.get("accelerator") or one.get("backend") for one in facts}
    return f"both ran on the same device ({devices.pop()})" if len(devices) == 1 else None


def _at_chance(
    form: StudyConfig, scores: Measured, picked: Sequence[pd.DataFrame], results: Results
) -> str | None:
    """Which sides are not surely above one answer to every image; None where all are."""
    told = {}
    for runs in picked:
        row, found = runs.iloc[0].to_dict(), scores.mean(runs)
        chance = results.chance(str(row["machine"]))
        if found.low is None or found.low <= chance:
            half_width = "" if found.half_width is None else f" ± {100 * found.half_width:.1f}"
            name = f"{series_of(row, form)} with {int(row['train_images']):,} images"
            told[f"{name} ({100 * found.value:.1f}{half_width} %)"] = chance
    if not told:
        return None
    return (
        f"because {' and '.join(told)} {'is' if len(told) == 1 else 'are'} not surely above "
        f"{percent(max(told.values()))}, the score of one answer to every image"
    )


def _status(
    parsed: Parsed, measured: Measured, picked: Sequence[pd.DataFrame]
) -> tuple[Status, str]:
    """The verdict on runs that are there, and its figures."""
    if measured.column == "params_total":  # a count, the same in every run
        counts = [float(runs["params_total"].mean()) for runs in picked]
        told = " against ".join(f"{count / 1e6:.3g} M" for count in counts)
        return ("holds" if counts[0] < counts[1] else "does not hold"), told
    means = [measured.mean(runs).value for runs in picked]
    if parsed.b is None:
        found = measured.mean(picked[0])
        found = Estimate(found.value - parsed.figure, found.half_width)
    else:
        found = measured.difference(picked[0], picked[1])
    if measured.column == LATENCY:
        found = latency_difference(picked[0], picked[1])
    elif not measured.seeds_told(*picked):  # nothing tells how far another seed is
        found = Estimate(found.value, None)
    told = (_told_times if is_time(measured.column) else _told_shares)(parsed, means, found)
    if found.half_width is None:
        alone = measured.column != LATENCY and not measured.seeds_told(*picked)
        return "undecided", told + " (seeds not repeated: no interval)" * alone
    claimed = parsed.figure if parsed.b else 0.0
    lead = (found.value if parsed.larger else -found.value) - claimed
    if abs(lead) <= found.half_width:
        return "undecided", told
    return ("holds" if lead > 0 else "does not hold"), told


def _told_times(parsed: Parsed, means: Sequence[float], found: Estimate) -> str:
    """As in `10 s against 54 s: 5.3 times as fast (4.2 to 6.6)`, from logarithms."""
    unit = "ms" if parsed.column == LATENCY else "s"
    figures = " against ".join(f"{rounded(math.exp(mean))} {unit}" for mean in means)
    if found.low is None or found.high is None:
        return figures
    ratio, low, high = (rounded(math.exp(-end)) for end in (found.value, found.high, found.low))
    return f"{figures}: {ratio} times as fast ({low} to {high})"


def _told_shares(parsed: Parsed, means: Sequence[float], found: Estimate) -> str:
    """As in `61.2 % against 58.0 %: +3.2 ± 1.4 points`."""
    unit = "points" if parsed.column == "gap" else "%"
    shares = [*means, parsed.figure] if parsed.b is None else means
    figures = " against ".join(f"{100 * share:.1f} {unit}" for share in shares)
    if found.half_width is None:
        return figures
    return f"{figures}: {100 * found.value:+.1f} ± {100 * found.half_width:.1f} points"
