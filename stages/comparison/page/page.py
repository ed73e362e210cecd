"""A comparison as one self-contained HTML page, in the look of the report."""

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from stages.charts.growth import growth_curves
from stages.comparison.analysis.compare_runs import Comparison
from stages.comparison.analysis.findings import Rung, Verdict
from stages.comparison.analysis.statistics import points
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.sections import are_two_models, sections_of, title_of
from stages.comparison.page.terms import where_in_words
from stages.comparison.page.wording import sentence_of
from stages.pages.blocks import Picture, Table, Tile, drawing
from stages.pages.render import render

OUTCOMES = ("equivalent", "different", "undecided")
"""Names of the colours of a verdict, by its exit status."""


def as_html(found: Comparison, more: Sequence[Section] = ()) -> str:
    """The page: verdict, tiles, every section and `more`, the growth of the distance as a chart."""
    sections = [*sections_of(found), *more]
    title, charts = title_of(found), {"divergence": _charts(found)}
    return page_of(title, sections, found.verdict, _tiles(found), charts)


def page_of(
    title: str,
    sections: Sequence[Section],
    verdict: Verdict | None = None,
    tiles: Sequence[Tile] = (),
    charts: Mapping[str, list[Picture]] | None = None,
) -> str:
    """Sections as a page; `charts` by the anchor of the section they stand in."""
    view = {
        "title": title,
        "verdict": _with_code(sentence_of(verdict)) if verdict else "",
        "outcome": OUTCOMES[verdict.exit_status] if verdict else "",
        "tiles": tiles,
        "sections": [
            {
                "anchor": section.anchor,
                "title": section.title,
                "sentences": [_with_code(sentence) for sentence in section.sentences],
                "charts": (charts or {}).get(section.anchor, []),
                "tables": [
                    {"title": grid.title, "folded": grid.folded, "table": _table(grid)}
                    for grid in section.grids
                ],
            }
            for section in sections
        ],
    }
    return render("compare.html.j2", view)


def _with_code(sentence: str) -> Markup:
    """A sentence whose names in back quotes are code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def _cell(text: str) -> Markup:
    """A cell; one that begins with a verdict has its colour."""
    cell = _with_code(text)
    rung = next((rung for rung in Rung if re.match(rf"{rung.words}(,|$)", text)), None)
    if rung is None:
        return cell
    return Markup('<span class="{}">{}</span>').format(OUTCOMES[rung.exit_status], cell)


def _tiles(found: Comparison) -> list[Tile]:
    tiles = [Tile("verdict", found.verdict.rung.words, _with_code(_where(found.verdict)))]
    if found.divergence is not None:
        divergence, detail = found.divergence, f"of {found.divergence.compared} traced"
        first = "" if divergence.is_exact else f"{divergence.after + 1}–"
        step = "none" if divergence.step is None else f"{first}{divergence.step}"
        tiles.append(Tile("first divergent step", step, detail))
    if found.numerics is not None:
        detail = f"of {found.numerics.compared} probed"
        tiles.append(Tile("operations with other bits", str(found.numerics.count), detail))
    answers, seeds = found.answers, found.seeds
    if told := seeds or answers:
        over = f" over {seeds.seeds} seeds" if seeds else ""
        reach = f"95 %: {points(told.low, True)} to {points(told.high, True)}"
        tiles.append(Tile(f"accuracy, points{over}", points(told.difference, True), reach))
    if answers is not None:
        pair = ", first pair" if found.verdict.pairs > 1 else ""
        images = f"n = {answers.images:,}{pair}"
        tiles.append(Tile("answers that differ", f"{answers.churn:.2%}", images))
    return tiles


def _where(verdict: Verdict) -> str:
    """Below the rung: the place of a difference, or how far rounding alone was shown."""
    if verdict.where is not None:
        return where_in_words(verdict.where)
    if verdict.rounding_until and verdict.rung is not Rung.ROUNDING:
        return f"rounding-equivalent up to step {verdict.rounding_until}"
    return ""


def _charts(found: Comparison) -> list[Picture]:
    """The growth of the distance; what rounding does is said only where it explains the runs."""
    growth, perturbed = found.growth, found.perturbed_growth
    if growth is None or not any(growth.distance) or are_two_models(found):
        return []
    figure = growth_curves(
        (growth.steps, growth.distance),
        (perturbed.steps, perturbed.distance) if perturbed else None,
        found.b.name,
    )
    label = (
        f"Distance of the weights of {found.b.name} from those of {found.a.name}, relative to "
        f"their norm, from {growth.distance[0]:.0e} after step {growth.steps[0]} to "
        f"{growth.distance[-1]:.0e} after step {growth.steps[-1]}"
    )
    rounding = found.verdict.rung is Rung.ROUNDING
    caption = "Rounding grows slowly, then a thousandfold within a few steps." if rounding else ""
    return [drawing(figure, label, caption)]


def _table(grid: Grid) -> Table:
    return Table(grid.head, tuple(tuple(map(_cell, row)) for row in grid.rows), grid.numeric)
