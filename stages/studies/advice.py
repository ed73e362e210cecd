"""Which backbone to take: four uses, each with a rule that is stated beside its answer.

Accuracies whose 95 % intervals overlap count as tied, and among the tied the cheaper is advised.
Leaves the page to `sections`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from stages.reporting.words import percent
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
    found = [advice for rule in rules if (advice := rule(view)) is not None]
    return [_traced(view, one) for one in found]


def _traced(view: View, advice: Advice) -> Advice:
    """With the cells behind its figures, and a word where the latency it rests on was noisy."""
    cells = cells_of(view, advice.series)
    noisy = "latency" in advice.rule and "latency_note" in cells
    noisy = noisy and bool(cells["latency_note"].notna().any())
    certainty = f"{advice.certainty}; its latency was noisy" if noisy else advice.certainty
    return replace(advice, figures=over(cells, advice.figures), certainty=certainty)


def _small_data(view: View) -> Advice:
    sizes = view.cells.groupby("series")["params_total"].median().rename("params_total")
    rows = view.at(view.sizes[0]).merge(sizes.reset_index(), on="series", how="left")
    best = rows.iloc[0]
    tied = rows[rows["tied"]]
    chosen = tied.iloc[int(tied["params_total"].argmin())] if len(tied) > 1 else best
    return Advice(
        "small data",
        str(chosen["series"]),
        f"highest mean accuracy at the smallest size ({view.sizes[0]:,} images); of those tied, "
        "the one with the fewest parameters",
        f"{_share(chosen['mean'])}, {chosen['params_total'] / 1e6:.2f} M parameters",
        _tie(tied, best),
    )


def _edge(view: View) -> Advice | None:
    rows = view.costs().dropna(subset=["latency_ms_p50"])
    if rows.empty:
        return None
    enough = rows[rows["high"] >= WITHIN * rows["mean"].max()]
    chosen = enough.iloc[int(enough["latency_ms_p50"].argmin())]
    sure = chosen["mean"] >= WITHIN * rows["mean"].max()
    return Advice(
        "small devices",
        str(chosen["series"]),
        f"lowest latency at batch 1 among those whose interval reaches {percent(WITHIN, 0)} of the "
        "best accuracy at the largest size",
        f"{chosen['latency_ms_p50']:.3g} ms, {_share(chosen['mean'])}",
        "its mean reaches it too" if sure else "only its interval does: more seeds may rule it out",
    )


def _balanced(view: View) -> Advice | None:
    rows = view.costs().dropna(subset=["latency_ms_p50"])
    if len(rows) < 2:
        return None
    logs = rows["latency_ms_p50"].map(math.log)
    score = _scaled(rows["mean"]) + 1 - _scaled(logs)
    score = score.where(front(rows, "latency_ms_p50"), -1.0)
    chosen, best = rows.iloc[int(score.argmax())], rows.iloc[0]
    tied = rows[(rows["high"] >= chosen["low"]) & (rows["low"] <= chosen["high"])]
    others = [str(name) for name in tied["series"] if name != chosen["series"]]
    return Advice(
        "balanced",
        str(chosen["series"]),
        "on the Pareto front of accuracy and latency, the largest sum of both, each scaled to 0…1 "
        "over the study (latency by its logarithm)",
        f"{_share(chosen['mean'])} ({_share(best['mean'])} at best), "
        f"{chosen['latency_ms_p50']:.3g} ms",
        _not_apart(others),
    )


def _quick(view: View) -> Advice | None:
    rows = view.costs().dropna(subset=["train_seconds"])
    chance = 1 / max(2, len(view.results.answers))
    learns = rows[(rows["low"] > chance) & (rows["mean"] >= rows["mean"].max() / 2)]
    rows, surely = (learns, True) if not learns.empty else (rows, False)
    if rows.empty:
        return None
    chosen = rows.iloc[int(rows["train_seconds"].argmin())]
    return Advice(
        "quick experiments",
        str(chosen["series"]),
        f"shortest training at the largest size among those with half of the best accuracy and "
        f"surely better than chance ({percent(chance, 0)})",
        f"{chosen['train_seconds']:.3g} s per training, {_share(chosen['mean'])}",
        "surely above chance" if surely else "none is surely above chance: train longer first",
    )


def _scaled(values: "pd.Series[float]") -> "pd.Series[float]":
    reach = values.max() - values.min()
    return (values - values.min()) / reach if reach else values * 0.0


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _tie(tied: pd.DataFrame, best: "pd.Series[float]") -> str:
    if len(tied) < 2:
        return "ahead of all others: its interval overlaps none"
    others = ", ".join(str(name) for name in tied["series"])
    return f"statistically tied: {others}; the highest mean is {best['series']}'s"


def _not_apart(others: list[str]) -> str:
    if not others:
        return "its accuracy differs from every other's"
    return f"its accuracy is statistically tied with {', '.join(others)}"
