"""The look of all charts, and their way out: a PNG or SVG file, or SVG inside a page.

The palette is Okabe and Ito's ("Color Universal Design", 2008), told apart by colour-blind readers;
split and series differ in line style as well, so that print without colour works. The same figure
always gives the same bytes: no dates, no random ids.
"""

import io
import re
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from stages.core.files import replacing

INK, MUTED, GRID = "#1f2328", "#59636e", "#d0d7de"
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
PURPLE, SKY, AMBER = "#cc79a7", "#56b4e9", "#e69f00"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, SKY, AMBER)
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (2, 3)))

# Inside a page these colours become CSS variables, which the page sets for light and dark.
CSS_NAMES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    BLUE: "--blue",
    VERMILLION: "--vermillion",
    GREEN: "--green",
    PURPLE: "--purple",
    SKY: "--sky",
    AMBER: "--amber",
}

WIDTH_IN = 5.2  # one column; at 360 CSS pixels its 9-point text is still 8.7 pixels high
PNG_DPI = 160

# Fonts with Chinese, Japanese and Korean on Linux, macOS and Windows, and one with emoji.
WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Droid Sans Fallback",
    "Hiragino Sans", "PingFang SC", "Arial Unicode MS", "Microsoft YaHei", "Yu Gothic",
    "Malgun Gothic", "Noto Emoji", "Segoe UI Emoji",
)  # fmt: skip


def _installed() -> list[str]:
    known = set(font_manager.get_font_names())
    return [name for name in WIDE_FONTS if name in known]


mpl.rcParams.update(
    {
        "figure.facecolor": "white",
        "axes.facecolor": "none",
        "axes.edgecolor": GRID,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.labelcolor": MUTED,
        "axes.labelsize": 9,
        "axes.prop_cycle": cycler(color=SERIES),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.5,
        "axes.titleweight": "bold",
        "axes.titlepad": 8,
        "figure.constrained_layout.h_pad": 0.08,
        "figure.constrained_layout.w_pad": 0.06,
        # The first ships with matplotlib: the same on every machine. Others for letters it lacks.
        "font.family": ["DejaVu Sans", *_installed()],
        "text.parse_math": False,  # names may have dollars
        "font.size": 9,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "legend.labelcolor": INK,
        "lines.linewidth": 1.8,
        "lines.markersize": 4,
        "svg.fonttype": "none",
        "svg.hashsalt": "backbone-dna",
        "text.color": INK,
        "xtick.color": GRID,
        "xtick.labelcolor": MUTED,
        "ytick.color": GRID,
        "ytick.labelcolor": MUTED,
    }
)


BEYOND = 0.05  # of an axis of shares, so that marks at none and all are whole


def figure(width_in: float = WIDTH_IN, height_in: float = 3.2) -> Figure:
    """An empty figure whose parts are laid out without overlap."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def chart(width_in: float = WIDTH_IN, height_in: float = 3.2) -> tuple[Figure, Axes]:
    """A figure with one pair of axes."""
    drawn = figure(width_in, height_in)
    return drawn, drawn.add_subplot()


def percent_axis(axes: Axes, which: str) -> None:
    """Show shares of 0 … 1 on the `x` or `y` axis as per cent; call when all is drawn.

    Intervals that reach beyond none or all are cut off there.
    """
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    limits = axes.get_xlim() if which == "x" else axes.get_ylim()
    inside = max(limits[0], -BEYOND), min(limits[1], 1 + BEYOND)
    axes.set(**{f"{which}lim": inside})


def whole_number_axis(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only, as for epochs; call when all is drawn."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    first, last = axes.dataLim.intervalx
    if 0 <= last - first < 1:  # one epoch has no width of its own
        only = round(first)
        axes.set_xlim(only - 0.5, only + 0.5)
        axes.set_xticks([only])


def metric_label(metric: str) -> str:
    """A metric's name as people write it: `top1` is top-1, `turn_top1` is turn top-1."""
    return metric.replace("top1", "top-1").replace("_", " ")


def save(drawn: Figure, path: Path | str) -> None:
    """Write a figure as PNG or SVG, by the suffix of `path`; the file is whole or absent.

    Raises ValueError for another suffix, OSError as the file system does.
    """
    kind = Path(path).suffix.removeprefix(".")
    with replacing(path) as temporary:
        if _lacks_letters(drawn, temporary, format=kind, dpi=PNG_DPI, metadata=_undated(kind)):
            _tell_of_boxes()


def _lacks_letters(drawn: Figure, target: Any, **options: Any) -> bool:
    """Save a figure; whether letters are missing from the fonts, which matplotlib only warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        drawn.savefig(target, **options)
    lacking = [warning for warning in caught if " missing from font" in str(warning.message)]
    for other in caught:
        if other not in lacking:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return bool(lacking)


@cache
def _tell_of_boxes() -> None:
    sys.stderr.write(
        "No font here has all letters of the names: pictures show boxes for some, tables do not. "
        "Install one that has them, such as Noto Sans CJK.\n"
    )


def shortened(name: str, most: int) -> str:
    """A name of at most `most` letters: its beginning and end, for the middle is often alike."""
    head = most // 2
    return name if len(name) <= most else f"{name[:head]}…{name[head + 1 - most :]}"


def _undated(kind: str) -> dict[str, None]:
    if kind == "png":
        return {"Software": None}
    if kind == "svg":
        return {"Date": None, "Creator": None, "Format": None, "Type": None}
    raise ValueError(f"charts are saved as .png or .svg, not .{kind}")


def inline_svg(drawn: Figure, label: str) -> str:
    """A figure as an `<svg>` element for a page that sets the variables of `CSS_NAMES`.

    `label` is what a screen reader says in place of the picture.
    """
    written = io.StringIO()
    # The page's own fonts draw the letters.
    _lacks_letters(drawn, written, format="svg", transparent=True, metadata=_undated("svg"))
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # nothing refers to groups; ids repeat in a page
    for colour, name in CSS_NAMES.items():
        svg = svg.replace(colour, f"var({name}, {colour})")
    width, height = drawn.get_size_inches() * 72
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{_attribute(label)}">'
    )
    return head + svg[svg.index(">") + 1 :].strip()


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
