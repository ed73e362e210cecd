"""Which backbone to take: four uses, each with a rule that is stated beside its answer.

Accuracies count as tied when the 95 % interval of their difference holds zero, and among the tied
the cheaper is advised. Leaves the page to `section`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from stages.reporting.words import percent
from stages.studies.intervals import Estimate, tied_with
from stages.studies.table import View, front
from stages.studies.traced import cells_of, over

WITHIN = 0.9  # of the leader's accuracy: what counts as accurate enough for a small device


@dataclass(frozen=True)
class Advice:
    """What to take for a use, by which rule, in which figures, and how sure that is."""

    use: str
    series: str
    rule: str
    figures: str
    certainty: str


def advise(view: View) -> list[Advice]:
    """The advice that the finished cells allow; nothing before there are two series."""
    if view.cells.empty or view.main["series"].nunique() < 2:
        return []
    rules: list[Callable[[View], Advice | None]] = [_small_data, _edge, _balanced, _quick]
    return [advice for rule in rules if (advice := rule(view)) is not None]


def _small_data(view: View) -> Advice:
    images = view.sizes[0]
    sizes = view.cells.groupby("series")["params_total"].median().rename("params_total")
    rows = view.at(images).merge(sizes.reset_index(), on="series", how="left")
    best = rows.iloc[0]
    tied = rows[rows["tied"]]
    chosen = tied.iloc[int(tied["params_total"].argmin())] if len(tied) > 1 else best
    figures = f"{percent(chosen['mean'])}, {chosen['params_total'] / 1e6:.2f} M parameters"
    return Advice(
        "small data",
        str(chosen["series"]),
        f"highest mean accuracy at the smallest size ({images:,} images); of those tied, "
        "the one with the fewest parameters",
        over(cells_of(view, chosen["series"], images), figures),
        (_alone(rows) or _tie(tied, best)) + _unlearned(view, chosen),
    )


def _edge(view: View) -> Advice | None:
    rows = view.costs().dropna(subset=["latency_ms_p50"])
    if rows.empty:
        return None
    beyond = [_over_share_of_best(view, row, rows) for row in rows["series"]]
    enough = rows[[found.value >= 0 or found.open for found in beyond]]
    chosen = enough.iloc[int(enough["latency_ms_p50"].argmin())]
    sure = chosen["mean"] >= WITHIN * rows["mean"].max()
    told = (
        "its mean reaches it too" if sure else "only its interval does: more seeds may rule it out"
    )
    return Advice(
        "small devices",
        str(chosen["series"]),
        "lowest latency at batch 1 among those that, within the interval, reach "
        f"{percent(WITHIN, 0)} of the best accuracy at the largest size",
        _figures(view, chosen, f"{chosen['latency_ms_p50']:.3g} ms, {percent(chosen['mean'])}"),
        (_alone(rows) or told) + _noisy(view, chosen) + _unlearned(view, chosen),
    )


def _balanced(view: View) -> Advice | None:
    rows = view.costs().dropna(subset=["latency_ms_p50"]).reset_index(drop=True)
    if len(rows) < 2:
        return None
    logs = rows["latency_ms_p50"].map(math.log)
    score = _scaled(rows["mean"]) + 1 - _scaled(logs)
    score = score.where(front(rows, "latency_ms_p50"), -1.0)
    place = int(score.argmax())
    chosen, best = rows.iloc[place], rows.iloc[0]
    tied = rows[tied_with(view.scores, rows, place)]
    others = [str(name) for name in tied["series"] if name != chosen["series"]]
    told = (f"{percent(chosen['mean'])} ({percent(best['mean'])} at best), "
            f"{chosen['latency_ms_p50']:.3g} ms")  # fmt: skip
    return Advice(
        "balanced",
        str(chosen["series"]),
        "on the Pareto front of accuracy and latency, the largest sum of both, each scaled to 0…1 "
        "over the study (latency by its logarithm)",
        _figures(view, chosen, told),
        _not_apart(others) + _noisy(view, chosen) + _unlearned(view, chosen),
    )


def _quick(view: View) -> Advice | None:
    rows = view.costs().dropna(subset=["train_seconds"])
    alone = _alone(rows)
    learns = rows[(rows["low"] > view.chance) & (rows["mean"] >= rows["mean"].max() / 2)]
    rows, surely = (learns, True) if not learns.empty else (rows, False)
    if rows.empty:
        return None
    chosen = rows.iloc[int(rows["train_seconds"].argmin())]
    told_chance = (
        "surely above chance" if surely else "none is surely above chance: train longer first"
    )
    told = f"{chosen['train_seconds']:.3g} s per training, {percent(chosen['mean'])}"
    return Advice(
        "quick experiments",
        str(chosen["series"]),
        "shortest training at the largest size among those with half of the best accuracy and "
        f"surely better than one answer to all images ({percent(view.chance)})",
        _figures(view, chosen, told),
        "; ".join(part for part in (told_chance, alone) if part),
    )


def _figures(view: View, chosen: "pd.Series[float]", told: str) -> str:
    """Figures at the largest size, with the cells behind them."""
    return over(cells_of(view, chosen["series"], view.sizes[-1]), told)


def _over_share_of_best(view: View, series: str, rows: pd.DataFrame) -> Estimate:
    """How far a series lies above what is enough beside the best of `rows`, at the largest size."""
    best = rows.iloc[int(rows["mean"].argmax())]["series"]
    runs, leading = (cells_of(view, name, view.sizes[-1]) for name in (series, best))
    return view.scores.difference(runs, leading, WITHIN)


def _noisy(view: View, chosen: "pd.Series[float]") -> str:
    """A word where the latency that the advice rests on was noisy."""
    cells = cells_of(view, chosen["series"])
    noisy = "latency_note" in cells and bool(cells["latency_note"].notna().any())
    return "; its latency was noisy" if noisy else ""


def _unlearned(view: View, chosen: "pd.Series[float]") -> str:
    """A word where one answer to all images might do as well."""
    return "" if chosen["low"] > view.chance else "; not surely above chance"


def _alone(rows: pd.DataFrame) -> str | None:
    """Said instead of a comparison where one series alone has run at a size."""
    return "only one has run at this size: nothing to compare it with" if len(rows) < 2 else None


def _scaled(values: "pd.Series[float]") -> "pd.Series[float]":
    reach = values.max() - values.min()
    return (values - values.min()) / reach if reach else values * 0.0


def _tie(tied: pd.DataFrame, best: "pd.Series[float]") -> str:
    if len(tied) < 2:
        return "ahead of all others that ran at this size"
    others = ", ".join(str(name) for name in tied["series"])
    return f"statistically tied: {others}; the highest mean is {best['series']}'s"


def _not_apart(others: list[str]) -> str:
    if not others:
        return "its accuracy differs from every other's"
    return f"its accuracy is statistically tied with {', '.join(others)}"
