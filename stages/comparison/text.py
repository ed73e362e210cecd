"""A comparison as Markdown, which reads well in a terminal too, and as JSON for other programs."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stages.comparison.sections import Grid, Section, sections_of, title_of
from stages.comparison.together import Comparison


def as_markdown(found: Comparison, more: Sequence[Section] = ()) -> str:
    """The verdict first, then every section, then `more`."""
    parts = [f"# {title_of(found.a, found.b)}", f"**{found.verdict.sentence}**"]
    parts += [section_as_markdown(section) for section in (*sections_of(found), *more)]
    return "\n\n".join(parts) + "\n"


def section_as_markdown(section: Section) -> str:
    """A heading, its sentences and its tables."""
    parts = [f"## {section.title}", *section.sentences]
    for grid in section.grids:
        parts += [f"{grid.title}:"] if grid.title else []
        parts.append(markdown_table(grid))
    return "\n\n".join(parts)


def markdown_table(grid: Grid) -> str:
    """A table whose columns are padded, so that the source reads as a table as well."""
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in (grid.head, *grid.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * (w - 1) + ":" if i in grid.numeric else "-" * w for i, w in enumerate(widths)]
    lines = [
        " | ".join(
            cell.rjust(w) if i in grid.numeric else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (cells[0], rule, *cells[1:])
    ]
    return "\n".join(f"| {line} |" for line in lines)


def as_json(found: Comparison) -> dict[str, Any]:
    """Everything that was found, without the runs themselves."""
    classes = found.classes
    return {
        "a": found.a.name,
        "b": found.b.name,
        "verdict": found.verdict.rung.words,
        "exit_status": found.verdict.rung.exit_status,
        "sentence": found.verdict.sentence,
        "where": found.verdict.where,
        "differences": [asdict(difference) for difference in found.differences],
        "numerics": asdict(found.numerics) if found.numerics else None,
        "causes": found.causes,
        "parting": asdict(found.parting) if found.parting else None,
        "first_step_apart": found.first_step_apart,
        "growth": asdict(found.growth) if found.growth else None,
        "answers": asdict(found.answers) if found.answers else None,
        "twin_churn": found.twin_churn,
        "seeds": asdict(found.seeds) if found.seeds else None,
        "classes": None if classes is None else classes.to_dict(orient="records"),
        "costs": [asdict(cost) for cost in found.costs],
        "missing": found.missing,
    }


def finite(value: Any) -> Any:
    """The same value with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
