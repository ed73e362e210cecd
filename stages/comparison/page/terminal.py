"""A comparison for a terminal: prose and tables folded to its width, 120 columns at most."""

import shutil
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stages.comparison.analysis.findings import Verdict
from stages.comparison.page.section import Grid, Section
from stages.comparison.page.wording import sentence_of

WIDEST = 120
LONGEST_WORD = 24
"""Characters of a word that count when a table is fitted; longer ones are folded."""
BETWEEN = 3
"""Columns of the terminal between two of a table."""
COLOURS = ("green", "red", "yellow")
"""Of a verdict in a terminal that has colours, by its exit status."""


def as_text(
    title: str, sections: Sequence[Section], verdict: Verdict | None = None, width: int = 0
) -> str:
    """Title, verdict and sections; `width` columns wide, by default as wide as the terminal."""
    width = width or _width()
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    with console.capture() as caught:
        _heading(console, title, "=")
        if verdict is not None:
            colour = COLOURS[verdict.exit_status]
            console.print("", Text(sentence_of(verdict), style=f"bold {colour}"), sep="\n")
        for section in sections:
            console.print()
            _heading(console, section.title, "-")
            for sentence in section.sentences:
                console.print(sentence)
            for place, grid in enumerate(section.grids):
                if place or section.sentences:
                    console.print()
                _table(console, grid, width)
    return "".join(f"{line.rstrip()}\n" for line in caught.get().splitlines())


def _width() -> int:
    """Columns of the terminal, or the widest where the output is none."""
    if not sys.stdout.isatty():
        return WIDEST
    return min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)


def _heading(console: Console, text: str, line: str) -> None:
    console.print(Text(text, style="bold"))
    console.print(line * min(len(text), console.width))


def _table(console: Console, grid: Grid, width: int) -> None:
    if grid.title:
        console.print(f"{grid.title}:")
    for part in parts(grid, width):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index, (name, wide) in enumerate(zip(part.head, _widths(part, width), strict=True)):
            right = index in part.numeric
            table.add_column(
                Text(name), justify="right" if right else "left", width=wide, overflow="fold"
            )
        for row in part.rows:
            table.add_row(*map(Text, row))
        console.print(table)


def parts(grid: Grid, width: int) -> list[Grid]:
    """The table in as few parts as fit the width, each with the first column before it.

    Rows that have nothing to say in a part are left out of it.
    """
    needs = [need + BETWEEN for need in _needs(grid)]
    groups: list[list[int]] = [[]]
    for index in range(1, len(needs)):
        if groups[-1] and needs[0] + sum(needs[i] for i in [*groups[-1], index]) > width + BETWEEN:
            groups.append([])
        groups[-1].append(index)
    return [grid] if len(groups) == 1 else [_part(grid, [0, *group]) for group in groups]


def _widths(grid: Grid, width: int) -> list[int]:
    """Of each column: what its words need; what is left goes to the narrowest that need more."""
    room = width - BETWEEN * (len(grid.head) - 1)
    full = [max(map(len, column)) for column in zip(grid.head, *grid.rows, strict=True)]
    widths = _needs(grid)
    while sum(widths) > room:
        widths[widths.index(max(widths))] -= 1
    for _ in range(min(room, sum(full)) - sum(widths)):
        lacking = [index for index, most in enumerate(full) if widths[index] < most]
        widths[min(lacking, key=widths.__getitem__)] += 1
    return widths


def _needs(grid: Grid) -> list[int]:
    """The length of the longest word in each column."""
    columns = zip(grid.head, *grid.rows, strict=True)
    words = [[len(word) for text in column for word in text.split()] for column in columns]
    return [min(LONGEST_WORD, max(lengths, default=1)) for lengths in words]


def _part(grid: Grid, kept: list[int]) -> Grid:
    rows = (tuple(row[index] for index in kept) for row in grid.rows)
    return Grid(
        tuple(grid.head[index] for index in kept),
        tuple(row for row in rows if any(row[1:])),
        tuple(place for place, index in enumerate(kept) if index in grid.numeric),
    )
