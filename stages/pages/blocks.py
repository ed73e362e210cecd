"""The building blocks of a page: tiles, charts, pictures and tables. Templates give them form."""

import base64
from dataclasses import dataclass
from html import escape

from markupsafe import Markup
from matplotlib.figure import Figure

from stages.charts.style import inline_svg
from stages.pages.formatting import NONE


@dataclass(frozen=True)
class Tile:
    """One figure of the first screen. `detail` is a short line below it."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Picture:
    """A chart or image as HTML. A `wide` one scrolls sideways on small screens."""

    html: Markup
    caption: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text cells; `numeric` are the columns of figures, set flush right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()

    def without_empty(self) -> "Table":
        """The table without columns that have nothing in any row."""
        kept = [
            place
            for place in range(len(self.head))
            if any(row[place] not in (NONE, "") for row in self.rows)
        ]
        return self._of(kept)

    def without(self, name: str) -> "Table":
        """The table without the column of this name."""
        return self._of([place for place, own in enumerate(self.head) if own != name])

    def _of(self, kept: list[int]) -> "Table":
        return Table(
            tuple(self.head[place] for place in kept),
            tuple(tuple(row[place] for place in kept) for row in self.rows),
            tuple(new for new, old in enumerate(kept) if old in self.numeric),
        )


def drawing(figure: Figure, label: str, caption: str = "", wide: bool = False) -> Picture:
    """A chart as inline SVG; `label` is read aloud in its place."""
    return Picture(Markup(inline_svg(figure, label)), caption, wide)


def svg_file(chart: Picture) -> str:
    """A `drawing` as a file of its own, on white: on a dark page its letters would not be seen."""
    head, _, rest = str(chart.html).partition(">")
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'{head} font-family="sans-serif">{ground}{rest}\n'


def png(content: bytes, label: str, caption: str = "", wide: bool = True) -> Picture:
    """PNG bytes as an image inside the page."""
    source = base64.b64encode(content).decode("ascii")
    image = f'<img src="data:image/png;base64,{source}" alt="{escape(label)}">'
    return Picture(Markup(image), caption, wide)
