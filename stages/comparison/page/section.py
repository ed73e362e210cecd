"""What a comparison is shown in: titled sections of paragraphs and tables, without a form.

`terminal`, `text` and `page` give them one.
"""

from dataclasses import dataclass

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Grid:
    """A table of text. `numeric` are the columns of figures; a `folded` one is of less interest."""

    head: tuple[str, ...]
    rows: Rows
    numeric: tuple[int, ...] = ()
    title: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, sentences and tables. `anchor` names it in a page."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
