"""Claims as expressions, and what the runs say about them.

A claim compares two sides or holds one against a figure:

    resnet50 beats vit_base at 5000
    lenet_large augmented_40 beats lenet_large plain_20 by 5 points
    resnet18 full beats resnet18 3125
    shufflenet_v2_x0_5 trains faster than repvgg_a0
    resnet18 reaches 90 % at full

A side is made of a model, a recipe and a size of the source, in any order. A size left out is the
largest that ran, a recipe left out the last one of the grid. A claim holds when the 95 % interval
of the difference lies wholly on its side, does not hold when it lies wholly on the other, and
otherwise there are too few runs to tell. Latency is measured once per model and not once per
seed: half the span of its repeats stands for the interval. Leaves intervals to `intervals`.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from stages.core.errors import ParamsError
from stages.studies.form import Form
from stages.studies.intervals import pooled
from stages.studies.results import Results

Status = Literal["holds", "does not hold", "too few runs", "not run"]
LATENCY = "latency_ms_p50"
# Relation: the column compared, and whether the first side is claimed to be the larger.
RELATIONS = {
    "beats": ("main", True),
    "overfits less than": ("gap", False),
    "overfits more than": ("gap", True),
    "trains faster than": ("train_seconds", False),
    "is faster than": (LATENCY, False),
    "has fewer parameters than": ("params_total", False),
}
_TWO = re.compile(
    rf"^(?P<a>.+?) (?P<relation>{'|'.join(RELATIONS)}) (?P<b>.+?)"
    r"(?: by (?P<points>\d+(?:\.\d+)?) points)?(?: at (?P<size>\S+))?$"
)
_ONE = re.compile(r"^(?P<a>.+?) reaches (?P<share>\d+(?:\.\d+)?) ?%(?: at (?P<size>\S+))?$")


@dataclass(frozen=True)
class Side:
    """What a side of a claim names; None is left open."""

    model: str | None = None
    recipe: str | None = None
    size: str | None = None


@dataclass(frozen=True)
class Parsed:
    """A claim taken apart: `b` is None when `a` is held against `figure`."""

    a: Side
    b: Side | None
    column: str
    larger: bool
    figure: float


@dataclass(frozen=True)
class Verdict:
    """How a claim stands on one machine, with a short reason in figures, and from which cells."""

    status: Status
    told: str
    cells: tuple[str, ...] = ()


def parse(claim: str, form: Form) -> Parsed:
    """Take a claim apart. Raises ParamsError when it is none or names what no grid has."""
    two, one = _TWO.match(claim), _ONE.match(claim)
    if two:
        column, larger = RELATIONS[two["relation"]]
        a, b = (_side(two[key], two["size"], form, claim) for key in "ab")
        return Parsed(a, b, column, larger, float(two["points"] or 0) / 100)
    if one:
        side = _side(one["a"], one["size"], form, claim)
        return Parsed(side, None, "main", True, float(one["share"]) / 100)
    raise ParamsError(
        f"The claim {claim!r} cannot be read. It is `<side> <relation> <side>`, where the relation "
        f"is one of {', '.join(RELATIONS)}, or `<side> reaches <n> %`, and may end in `at <size>`."
    )


def judge(claim: str, form: Form, results: Results, machine: str) -> Verdict:
    """The verdict of one machine's runs."""
    parsed = parse(claim, form)
    column = {"main": results.main, "gap": f"gap_{results.metrics[0]}"}.get(
        parsed.column, parsed.column
    )
    own = results.finished
    own = own[own["machine"] == machine]
    if column not in own:
        return Verdict("not run", "no run measured it")
    sides = [parsed.a] if parsed.b is None else [parsed.a, parsed.b]
    picked = [_pick(own, side, column) for side in sides]
    if any(values.empty for values in picked):
        return Verdict("not run", _absent(sides, picked))
    means = [float(values.mean()) for values in picked]
    if column == LATENCY:
        found = _verdict(parsed, means, _latency_reach(own, picked))
    else:
        spread, runs = pooled(own, column), [len(values) for values in picked]
        enough = spread.freedom and min(runs) > 1
        found = _verdict(parsed, means, spread.reach(*runs) if enough else None)
    names = [name for values in picked for name in own.loc[values.index, "cell"]]
    return replace(found, cells=tuple(dict.fromkeys(names)))


def _latency_reach(own: pd.DataFrame, picked: "list[pd.Series[float]]") -> float | None:
    """Half the spans of both sides' repeats, added: beyond it no repeat of one met the other's."""
    if "latency_spread" not in own:
        return None
    reach = 0.0
    for values in picked:
        spans = own.loc[values.index, "latency_spread"].astype(float) * values
        reach += float(spans.mean()) / 2
    return None if math.isnan(reach) else reach


def _verdict(parsed: Parsed, means: list[float], reach: float | None) -> Verdict:
    difference = means[0] - (means[1] if parsed.b else 0.0)
    towards = difference if parsed.larger else -difference
    lead = towards - parsed.figure
    told = _told(parsed, means, reach)
    if parsed.column == "params_total":  # a count, the same in every run
        return Verdict("holds" if lead > 0 else "does not hold", told)
    if reach is None:
        return Verdict("too few runs", told)
    if lead > reach:
        return Verdict("holds", told)
    return Verdict("does not hold" if lead < -reach else "too few runs", told)


def _told(parsed: Parsed, means: list[float], reach: float | None) -> str:
    share = parsed.column in ("main", "gap")
    scale, unit = (100.0, " %") if share else (1.0, {"train_seconds": " s"}.get(parsed.column, ""))
    if parsed.column == "gap":
        unit = " points"
    if parsed.column == LATENCY:
        unit = " ms"
    if parsed.column == "params_total":
        scale, unit = 1e-6, " M"
    figures = " against ".join(f"{scale * mean:.3g}{unit}" for mean in means)
    if parsed.b is None:
        figures += f" against {100 * parsed.figure:g} %"
    if reach is None or parsed.column == "params_total":
        return figures
    difference = means[0] - (means[1] if parsed.b else parsed.figure)
    points = " points" if share else unit
    return f"{figures}: {scale * difference:+.3g} ± {scale * reach:.3g}{points}"


def _side(text: str, size: str | None, form: Form, claim: str) -> Side:
    """The words of a side, each a model, a recipe or a size, of the form or of the source."""
    here = {str(theirs): str(ours) for ours, theirs in form.file.stands_for.items()}
    grids = form.file.grids.values()
    known = {
        "model": {name for grid in grids for name in grid.models},
        "recipe": set(form.file.recipes),
        "size": {str(name) for grid in grids for name in grid.sizes},
    }
    found: dict[str, str] = {}
    for word in [*text.split(), *([size] if size else [])]:
        ours = here.get(word, word)
        kind = next((kind for kind, names in known.items() if ours in names), None)
        if kind is None:
            kind = _kind_of_unknown(word, found)
        if kind in found:
            raise ParamsError(f"The claim {claim!r} names two of a kind on one side: {text!r}.")
        found[kind] = ours
    return Side(**found)


def _kind_of_unknown(word: str, found: dict[str, str]) -> str:
    """What a word means that this form has not: its claims are then not run."""
    if word[0].isdigit() or word == "full":
        return "size"
    return "recipe" if "model" in found else "model"


def _pick(cells: pd.DataFrame, side: Side, column: str) -> "pd.Series[float]":
    """The values of the runs that a side means.

    Left open, a recipe or size is the only one there is, or the largest size.
    """
    for kind in ("model", "recipe", "size"):
        wanted = getattr(side, kind)
        if wanted is not None:
            cells = cells[cells[kind] == wanted]
    if side.size is None and not cells.empty:
        cells = cells[cells["train_images"] == cells["train_images"].max()]
    if side.recipe is None and cells["recipe"].nunique() > 1:
        cells = cells[cells["recipe"] == cells["recipe"].iloc[-1]]
    values: pd.Series[float] = cells[column].dropna().astype(float)
    return values


def _absent(sides: list[Side], picked: "list[pd.Series[float]]") -> str:
    missing = [
        " ".join(part for part in (side.model, side.recipe, side.size) if part)
        for side, values in zip(sides, picked, strict=True)
        if values.empty
    ]
    return "no run of " + " or ".join(missing)
