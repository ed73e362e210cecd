"""A comparison as one self-contained HTML page, in the look of the report."""

import re
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from stages.charts.growth import growth_curves
from stages.comparison.sections import Grid, Section, sections_of, title_of
from stages.comparison.statistics import points
from stages.comparison.together import Comparison
from stages.reporting.parts import Picture, Table, Tile, drawing
from stages.reporting.render import render


def as_html(found: Comparison, more: Sequence[Section] = ()) -> str:
    """The page: verdict, tiles, every section and `more`, the growth of the distance as a chart."""
    sections = [*sections_of(found), *more]
    title, charts = title_of(found.a, found.b), {"parting": _charts(found)}
    return page_of(title, found.verdict.sentence, sections, _tiles(found), charts)


def page_of(
    title: str,
    verdict: str,
    sections: Sequence[Section],
    tiles: Sequence[Tile] = (),
    charts: Mapping[str, list[Picture]] | None = None,
) -> str:
    """Sections as a page; `charts` by the anchor of the section they stand in."""
    view = {
        "title": title,
        "verdict": _with_code(verdict),
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


def _tiles(found: Comparison) -> list[Tile]:
    tiles = [Tile("verdict", found.verdict.rung.words, found.verdict.where or "")]
    if found.parting is not None:
        parting, detail = found.parting, f"of {found.parting.compared} traced"
        first = "" if parting.is_exact else f"{parting.after + 1}–"
        step = "never" if parting.step is None else f"{first}{parting.step}"
        tiles.append(Tile("bits part at step", step, detail))
    if found.numerics is not None:
        detail = f"of {found.numerics.compared}"
        tiles.append(Tile("probes with other bits", str(found.numerics.count), detail))
    if found.answers is not None:
        answers = found.answers
        reach = f"{points(answers.low, True)} to {points(answers.high, True)}"
        tiles.append(Tile("accuracy, points", points(answers.difference, True), reach))
        tiles.append(Tile("answers that differ", f"{answers.churn:.2%}", f"n = {answers.images:,}"))
    return tiles


def _charts(found: Comparison) -> list[Picture]:
    growth, twin = found.growth, found.twin_growth
    if growth is None or not any(growth.apart):
        return []
    figure = growth_curves(
        (growth.steps, growth.apart), (twin.steps, twin.apart) if twin else None, found.b.name
    )
    label = f"Distance of the weights of {found.b.name} from {found.a.name} by step"
    return [
        drawing(figure, label, "Rounding grows slowly, then a thousandfold within a few steps.")
    ]


def _table(grid: Grid) -> Table:
    return Table(grid.head, grid.rows, grid.numeric)
