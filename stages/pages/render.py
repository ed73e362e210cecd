"""Fill the templates of `stages/templates`: HTML with everything inside, or Markdown."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stages.pages import formatting as words

TEMPLATES = Path(__file__).parent.parent / "templates"


def render(template: str, view: Mapping[str, Any]) -> str:
    """The text of a template; only `.html.j2` escapes what it is given.

    A name that the template uses and the view lacks raises jinja2.UndefinedError.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = words.plain
    environment.filters["cell"] = _markdown_cell
    return environment.get_template(template).render(view)


def _markdown_cell(text: str) -> str:
    """Text that stays within one cell of a Markdown table, and is neither HTML nor a formula."""
    return re.sub(r"([\\`~|<$*[&]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(str(text).splitlines()))
