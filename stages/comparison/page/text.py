"""A comparison as Markdown, for a pull request, and as JSON for other programs."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stages.comparison.analysis.compare_runs import Comparison
from stages.comparison.analysis.findings import Verdict
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.wording import sentence_of

WIDEST = 120
"""Columns up to which tables are padded."""


def as_markdown(title: str, sections: Sequence[Section], verdict: str = "") -> str:
    """The title, the verdict's sentence if there is one, then every section."""
    parts = [f"# {title}", *([f"**{verdict}**"] if verdict else [])]
    return "\n\n".join([*parts, *map(_section, sections)]) + "\n"


def _section(section: Section) -> str:
    """A heading, its sentences and its tables."""
    parts = [f"## {section.title}", *section.sentences]
    for grid in section.grids:
        parts += [f"{grid.title}:"] if grid.title else []
        parts.append(markdown_table(grid))
    return "\n\n".join(parts)


def markdown_table(grid: Grid) -> str:
    """A table whose columns are padded where it is not wide, so that its source can be read too."""
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in (grid.head, *grid.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    if sum(widths) + 3 * len(widths) > WIDEST:
        widths = [3] * len(widths)
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
        **verdict_as_json(found.verdict),
        "a": found.a.name,
        "b": found.b.name,
        "differences": [asdict(difference) for difference in found.differences],
        "numerics": asdict(found.numerics) if found.numerics else None,
        "first_divergence": asdict(found.divergence) if found.divergence else None,
        "growth": asdict(found.growth) if found.growth else None,
        "perturbed_growth": asdict(found.perturbed_growth) if found.perturbed_growth else None,
        "answers": asdict(found.answers) if found.answers else None,
        "perturbed_answers": asdict(found.perturbed_answers) if found.perturbed_answers else None,
        "seeds": asdict(found.seeds) if found.seeds else None,
        "classes": None if classes is None else classes.to_dict(orient="records"),
        "costs": [asdict(cost) for cost in found.costs],
        "missing": found.missing,
    }


def verdict_as_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as data, with its sentence."""
    return {
        "a": verdict.a,
        "b": verdict.b,
        "verdict": verdict.rung.words,
        "exit_status": verdict.exit_status,
        "sentence": sentence_of(verdict),
        "fault": asdict(verdict.fault) if verdict.fault else None,
        "rounding_until_step": verdict.rounding_until,
        "steps": verdict.steps,
        "not_shown": verdict.uncovered,
        "replayed": verdict.replayed,
        "same": verdict.shared,
        "divergence": asdict(verdict.divergence) if verdict.divergence else None,
        "gradient_distance": verdict.gradient_distance,
        "probability_gap": verdict.probability_gap,
        "causes": [asdict(cause) for cause in verdict.causes],
        "pairs": verdict.pairs,
        "unanimous": verdict.unanimous,
        "damaged": verdict.damaged,
        "not_evaluated": verdict.not_evaluated,
        "no_predictions": verdict.no_predictions,
    }


def finite(value: Any) -> Any:
    """The same value with null for every number that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
