"""Which backbone to take: four uses, each with a rule that is stated beside its answer.

Advice comes only from runs that are surely above one answer to every image: the lower end of their
95 % interval lies above the share of the most frequent class. Where there are none, the answer is
"none yet", with the reason. Accuracies count as tied when the 95 % interval of their difference
holds zero, and among the tied the cheaper is advised.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from stages.measures.evaluation.unequal import EVEN
from stages.pages.formatting import device_name, duration, percent
from stages.studies.analysis.certainty import (
    alone,
    as_fast,
    as_quick,
    may_reach,
    not_apart,
    quickest,
    tied,
    too_noisy,
)
from stages.studies.analysis.intervals import tied_with
from stages.studies.analysis.machine_results import MachineResults
from stages.studies.analysis.spread import FITTED
from stages.studies.analysis.traced import latency_text, over, share_text

NONE_YET = "none yet"
WITHIN = (
    0.9  # of the leader's accuracy: what counts as accurate enough to be chosen for its latency
)
EXCHANGE = -0.07  # of accuracy for latency: Tan et al., arXiv:1807.11626, section 3
PART_WAY = 0.5  # from one answer to the leader's accuracy: what counts as a useful experiment


@dataclass(frozen=True)
class Advice:
    """What to take for a use, by which rule, in which figures, how sure that is, what to run."""

    use: str
    series: str
    rule: str
    figures: str
    certainty: str
    commands: tuple[str, ...] = ()


def advise(view: MachineResults) -> list[Advice]:
    """The advice that the finished cells allow; nothing before there are two series."""
    if view.cells.empty or view.main["series"].nunique() < 2:
        return []
    rules: list[Callable[[MachineResults], Advice | None]] = [_small_data, _fast, _balanced, _quick]
    return [advice for rule in rules if (advice := rule(view)) is not None]


def unlearned_text(view: MachineResults, images: int) -> str:
    """Why nothing can be said of the runs at a size: none is surely above one answer to all."""
    told = (
        f"because no mean with {images:,} images is surely above {percent(view.chance)}, the score "
        "of one answer to every image"
    )
    return over(view.cells[view.cells["train_images"] == images], told)


def even_text(view: MachineResults, runs: pd.DataFrame) -> str:
    """What runs score where every class counts alike; nothing where classes are equal.

    Accuracy is the wrong measure of a training that gave rare classes as much weight as others.
    """
    if EVEN not in runs or runs[EVEN].isna().all():
        return ""
    highest = runs.astype({EVEN: float}).nlargest(1, EVEN).iloc[0]
    alike = percent(1 / len(view.results.answers))
    return (
        "; classes are unequal, and where each counts alike (balanced accuracy) the highest run, "
        f"{highest['cell']}, has {percent(highest[EVEN])} and one answer to every image {alike}"
    )


def _none_yet(view: MachineResults, use: str, rule: str, images: int) -> Advice:
    nearest = view.at(images).iloc[0]
    at_once = {view.scores.spread.kind_of(group) for group in view.scores.groups} == {FITTED}
    more = (
        "take more images first, to train or to test with, or other backbones"
        if at_once
        else "train on more images or for more epochs first, or more seeds where they differ widely"
    )
    remedy = f"highest: {nearest['series']} with {share_text(nearest)}; {more}"
    return Advice(use, NONE_YET, rule, unlearned_text(view, images), remedy)


def _small_data(view: MachineResults) -> Advice:
    images = view.sizes[0]
    several = len(view.sizes) > 1
    use = "small data" if several else "smallest of the best"
    size = "the smallest size" if several else "the only size that was run"
    rule = (
        f"highest mean accuracy at {size} ({images:,} images); of those tied, "
        "the one with the fewest parameters"
    )
    rows = view.ranked(images)
    if rows.empty:
        return _none_yet(view, use, rule, images)
    sizes = view.cells.groupby("series")["params_total"].median().rename("params_total")
    rows = rows.merge(sizes.reset_index(), on="series", how="left")
    first = rows[rows["tied"]]
    chosen = first.iloc[int(first["params_total"].argmin())]
    figures = f"{percent(chosen['mean'])}, {chosen['params_total'] / 1e6:.2f} M parameters"
    figures += ", the fewest of those tied" if len(first) > 1 else ""
    return Advice(
        use,
        str(chosen["series"]),
        rule,
        over(view.cells_of(chosen["series"], images), figures),
        alone(view, images) or tied(view, images, str(chosen["series"])),
    )


def _fast(view: MachineResults) -> Advice | None:
    every = view.costs()
    rule = (
        f"lowest latency at batch 1 among those whose mean accuracy reaches {percent(WITHIN, 0)} "
        "of the best at the main size; of those that its repeats cannot tell from the lowest, "
        "the one with the fewest MACs"
    )
    if every["latency_ms_p50"].isna().all():
        return None
    rows = every[every["learned"]].dropna(subset=["latency_ms_p50"])
    if rows.empty:
        return _none_yet(view, "low latency", rule, view.main_size)
    enough = rows[rows["mean"] >= WITHIN * rows["mean"].max()]
    lowest = enough.loc[enough["latency_ms_p50"].idxmin()]
    level = enough[enough["series"].isin([lowest["series"], *as_fast(view, lowest, enough)])]
    level = level.assign(macs=level.get("macs_g", math.nan))  # where no run counted any
    chosen = level.sort_values(["macs", "mean"], ascending=[True, False]).iloc[0]
    told = f"its mean reaches {percent(WITHIN, 0)} of the best"
    able = may_reach(view, rows, WITHIN)
    apart = able[~able["series"].isin(list(as_fast(view, chosen, able)))]
    below = able[able["mean"] < WITHIN * rows["mean"].max()]
    reach = able[~able["series"].isin(below["series"])]
    faster = apart.loc[apart["latency_ms_p50"] < chosen["latency_ms_p50"], "series"]
    told += f"; faster ones whose mean may reach it too: {', '.join(faster)}" if len(faster) else ""
    return Advice(
        "low latency",
        str(chosen["series"]),
        rule,
        _figures(view, chosen, f"{_latency(view, chosen)}, {percent(chosen['mean'])}"),
        (alone(view, view.main_size) or told) + too_noisy(view, chosen, reach, below),
    )


def _balanced(view: MachineResults) -> Advice | None:
    every = view.costs()
    rule = (
        "highest accuracy × latency^-0.07 at the main size, so that twice the latency has to "
        "bring 5 % more accuracy (as in MnasNet)"
    )
    if every["latency_ms_p50"].notna().sum() < 2:
        return None
    rows = every[every["learned"]].dropna(subset=["latency_ms_p50"]).reset_index(drop=True)
    if rows.empty:
        return _none_yet(view, "balanced", rule, view.main_size)
    place = int((rows["mean"] * rows["latency_ms_p50"] ** EXCHANGE).argmax())
    chosen, best = rows.iloc[place], rows.iloc[0]
    level = rows[tied_with(view.scores, rows, place)]
    others = [str(name) for name in level["series"] if name != chosen["series"]]
    told = percent(chosen["mean"]) + f" ({percent(best['mean'])} at best)" * (place > 0)
    return Advice(
        "balanced",
        str(chosen["series"]),
        rule,
        _figures(view, chosen, f"{told}, {_latency(view, chosen)}"),
        (alone(view, view.main_size) or not_apart(view, others, rows))
        + too_noisy(view, chosen, rows, rows[:0]),
    )


def _quick(view: MachineResults) -> Advice | None:
    every = view.costs().dropna(subset=["train_seconds"])
    if every.empty:
        return None
    rule = (
        "shortest training at the main size among those that come at least half way from one "
        f"answer to every image ({percent(view.chance)}) to the best accuracy; of those whose "
        "times cannot be told from the shortest, the most accurate"
    )
    learned = every[every["learned"]]
    if learned.empty:
        return _none_yet(view, "quick experiments", rule, view.main_size)
    enough = view.chance + PART_WAY * (learned["mean"].max() - view.chance)
    rows = learned[learned["mean"] >= enough]
    shortest = rows.iloc[int(rows["train_seconds"].argmin())]
    level = rows["series"].isin([shortest["series"], *as_quick(view, shortest, rows)[0]])
    chosen = rows[level].sort_values("mean", ascending=False).iloc[0]
    told = f"{duration(chosen['train_seconds'], 2)} per training, {percent(chosen['mean'])}"
    able = may_reach(view, learned, PART_WAY, view.chance)
    apart = able[~able["series"].isin(as_quick(view, shortest, able)[0])]
    sooner = apart.loc[apart["train_seconds"] < shortest["train_seconds"], "series"]
    also = f"; quicker ones whose mean may come as far: {', '.join(sooner)}" if len(sooner) else ""
    return Advice(
        "quick experiments",
        str(chosen["series"]),
        rule,
        _figures(view, chosen, told),
        (alone(view, view.main_size) or quickest(view, chosen, rows)) + also,
    )


def _figures(view: MachineResults, chosen: "pd.Series[float]", told: str) -> str:
    """Figures at the main size, with the cells behind them."""
    return over(view.cells_of(chosen["series"], view.main_size), told)


def _latency(view: MachineResults, chosen: "pd.Series[float]") -> str:
    """A latency means nothing without the device that it was measured on."""
    told = latency_text(view.cells_of(chosen["series"], view.main_size).iloc[-1])
    return f"{told} ms on {device_name(view.results.machines[view.machine])}"
