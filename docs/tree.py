"""The tree of `docs/architecture.md`: each file of `stages/` and its docstring's first sentence.

`python docs/tree.py` writes it anew between the page's marks; a test holds the page against it.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: python docs/tree.py -->\n", "<!-- end of tree -->\n"
COLUMN = 34
WIDEST = 96  # of a phrase; a longer sentence is cut at its colon


def tree() -> str:
    """The tree as an indented list, files before folders, with one phrase each."""
    return "```\n" + "\n".join(_lines(ROOT / "stages", 0)) + "\n```\n"


def _lines(folder: Path, depth: int) -> Iterator[str]:
    yield _line(f"{folder.name}/", depth, folder / "__init__.py")
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield _line(path.name, depth + 1, path)
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name != "__pycache__":
            yield from _lines(path, depth + 1)


def _line(name: str, depth: int, source: Path) -> str:
    text = ast.get_docstring(ast.parse(source.read_text("utf-8"))) if source.exists() else None
    sentence = re.split(r"(?<!et al)\.\s|\n\n", (text or "") + "\n\n")[0].replace("\n", " ")
    phrase = sentence if len(sentence) <= WIDEST else sentence.partition(": ")[0]
    return f"{'  ' * depth + name:<{COLUMN}} {phrase.rstrip('.')}".rstrip()


def page_with(new: str) -> str:
    """The page with `new` in place of the tree that it has."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return before + BEGIN + new + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page_with(tree()), "utf-8")
