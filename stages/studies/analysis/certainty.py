"""How sure a piece of advice is: who else may be as accurate, as fast or as quick.

What is advised, and by which rule, is left to `advice`.
"""

from collections.abc import Iterator

import pandas as pd

from stages.studies.analysis.intervals import Estimate, latency_difference, tied_with
from stages.studies.analysis.machine_results import MachineResults

ONCE = ", on these test images: not of all is it known how far seeds differ"


def alone(view: MachineResults, images: int) -> str | None:
    """Said instead of a comparison where there is nothing to compare with."""
    if len(view.at(images)) < 2:
        twins = [name for name in view.repeated if len(view.cells_of(name, images))]
        but = f" but for {', '.join(twins)}, the same to the bit" if twins else ""
        return f"only one has run at this size{but}: nothing to compare it with"
    if len(view.ranked(images)) < 2:
        return "the only one surely above one answer to every image"
    return None


def tied(view: MachineResults, images: int, chosen: str) -> str:
    """Which are statistically tied with the chosen one among those ranked at a size."""
    ranked = view.ranked(images)
    place = ranked["series"].tolist().index(chosen)
    level = tied_with(view.scores, ranked, place)
    others = [str(name) for name in ranked.loc[level, "series"] if name != chosen]
    if others:
        better = ", ".join(map(str, ranked.loc[~level, "series"].loc[: place - 1] if place else ()))
        behind = f", surely behind {better}" if better else ""
        return f"statistically tied with {', '.join(others)}{behind}"
    unranked = len(ranked) < len(view.at(images))
    of_whom = "are surely above one answer to every image" if unranked else "ran at this size"
    return f"ahead of all others that {of_whom}" + _once(view, ranked, images)


def not_apart(view: MachineResults, others: list[str], rows: pd.DataFrame) -> str:
    """Which of `rows`, of the main size, the accuracy cannot be told from."""
    if others:
        return f"its accuracy is statistically tied with {', '.join(others)}"
    return "its accuracy differs from every other's" + _once(view, rows, view.main_size)


def may_reach(
    view: MachineResults, rows: pd.DataFrame, share: float, least: float = 0.0
) -> pd.DataFrame:
    """Those of `rows` that come, or may come, `share` of the way from `least` to the best of them,
    at the main size.
    """
    leading = view.cells_of(rows.iloc[int(rows["mean"].argmax())]["series"], view.main_size)
    aim, able = (1 - share) * least, []
    for name in rows["series"]:
        over = view.scores.difference(view.cells_of(name, view.main_size), leading, share)
        able.append(over.value >= aim or over.high is None or over.high >= aim)
    return rows[able]


def as_fast(view: MachineResults, one: "pd.Series[float]", rows: pd.DataFrame) -> dict[str, bool]:
    """Those whose latency repeats cannot tell from that of `one`, and whether of its network."""
    return {
        name: alike
        for name, alike, apart in _latencies(view, one, rows)
        if apart.half_width is not None and apart.open
    }


def _latencies(
    view: MachineResults, one: "pd.Series[float]", rows: pd.DataFrame
) -> Iterator[tuple[str, bool, Estimate]]:
    """Each of `rows`, whether it is of the network of `one`, and how much longer it takes."""
    own = view.cells_of(one["series"], view.main_size)
    for name in rows["series"]:
        cells = view.cells_of(name, view.main_size)
        alike = bool(cells["model"].isin(own["model"]).any())
        yield str(name), alike, latency_difference(cells, own)


def too_noisy(
    view: MachineResults, chosen: "pd.Series[float]", rows: pd.DataFrame, maybe: pd.DataFrame
) -> str:
    """Names the other networks whose latency the repeats cannot tell from the chosen one's.

    Those of `maybe` are not surely as accurate as asked for.
    """
    level = [
        ", ".join(name for name, alike in as_fast(view, chosen, some).items() if not alike)
        for some in (rows, maybe)
    ]
    told = [level[0], level[1] and f"{level[1]}, whose mean may reach it too"]
    named = ", or from ".join(filter(None, told))
    known = f"; latencies too noisy to tell it from {named}" if named else ""
    return known + _untold(view, chosen, pd.concat([rows, maybe]))


def _untold(view: MachineResults, chosen: "pd.Series[float]", rows: pd.DataFrame) -> str:
    """Names those beside which too few repeats were timed to tell latencies apart."""
    once = [
        name
        for name, alike, apart in _latencies(view, chosen, rows)
        if not alike and apart.half_width is None
    ]
    if not once:
        return ""
    return f"; how latencies vary is not known beside {', '.join(once)}: too few repeats were timed"


def as_quick(
    view: MachineResults, chosen: "pd.Series[float]", rows: pd.DataFrame
) -> tuple[list[str], list[str]]:
    """Which of `rows` the training time cannot be told from, and beside which it is not known."""
    seconds, images = view.measured("train_seconds"), view.main_size
    own = view.cells_of(chosen["series"], images)
    same, once = list[str](), list[str]()
    for name in rows.loc[rows["series"] != chosen["series"], "series"]:
        other = view.cells_of(name, images)
        if not seconds.seeds_told(own, other):
            once.append(str(name))
        elif seconds.difference(own, other).open:
            same.append(str(name))
    return same, once


def quickest(view: MachineResults, chosen: "pd.Series[float]", rows: pd.DataFrame) -> str:
    """How sure it is that `chosen` trains in no more time than the others."""
    same, once = as_quick(view, chosen, rows)
    told = [f"times too noisy to tell it from {', '.join(same)}"] if same else []
    if once:
        told.append(f"how times vary is not known beside {', '.join(once)}: none was repeated")
    return "; ".join(told) or "quicker than all others whose mean comes as far"


def _once(view: MachineResults, rows: pd.DataFrame, images: int) -> str:
    """Said where a comparison is of these runs alone, since another seed may move them anywhere."""
    runs = [view.cells_of(name, images) for name in rows["series"]]
    return ONCE * (not view.scores.seeds_told(*runs))
