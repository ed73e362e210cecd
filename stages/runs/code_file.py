"""One source file reduced to what it executes: a hash, and what it may load.

The hash covers the syntax tree without comments, docstrings, layout and blocks for type checking,
in a form of our own: `ast.dump` differs between Python versions, bytecode even more. Leaves
finding the files to `tree`.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import resolve_name
from typing import Any

# Fields that say nothing which the rest does not: whether a name is read or set, a `u` before text.
SILENT_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}


@dataclass(frozen=True)
class CodeFile:
    """What a file executes: `digest` is a hex SHA-256 of it.

    `imports` are the dotted names that it imports, at its top or within functions; `texts` its
    string constants, which may name modules and data files.
    """

    digest: str
    imports: frozenset[str]
    texts: frozenset[str]


@cache  # every file is read again at the end of a run, to see whether it was edited
def read_code_file(content: bytes, package: str) -> CodeFile:
    """Reduce the bytes of a Python file; `package` is what its relative imports start from.

    A file that is not Python, such as one that is being edited, has the hash of its bytes.
    """
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return CodeFile(hashlib.sha256(content).hexdigest(), frozenset(), frozenset())
    walk = _Walk(package)
    walk.visit(tree)
    digest = hashlib.sha256("".join(walk.written).encode()).hexdigest()
    return CodeFile(digest, frozenset(walk.imports), frozenset(walk.texts))


class _Walk:
    """Writes a syntax tree as text, and collects names on the way."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.written: list[str] = []
        self.imports: set[str] = set()
        self.texts: set[str] = set()

    def visit(self, node: Any) -> None:
        """Write a node, a list of nodes, or what a field holds else: a name, a number, None."""
        if isinstance(node, ast.Constant):
            # Not `repr`: which characters it escapes depends on the version's Unicode tables.
            self.written.append(ascii(node.value))
            if isinstance(node.value, str):
                self.texts.add(node.value)
        elif isinstance(node, ast.AST):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.update(_imported(node, self.package))
            self.written.append(f"{type(node).__name__}(")
            for name in node._fields:
                # Fields that a newer version adds are empty for code of an older one.
                value = getattr(node, name, None)
                if isinstance(node, ast.JoinedStr):  # Python 3.12 leaves an empty part at its end
                    value = [part for part in node.values if not _is_empty_text(part)]
                if value is not None and value != [] and name not in SILENT_FIELDS:
                    self.written.append(f"{name}=")
                    self.visit(value)
            self.written.append(")")
        elif isinstance(node, list):
            self.written.append("[")
            for inner in _executed(node):
                self.visit(inner)
                self.written.append(",")
            self.written.append("]")
        else:
            self.written.append(ascii(node))


def _executed(nodes: list[Any]) -> Iterator[Any]:
    """Without statements that do nothing: docstrings and other constants, pass, type checking."""
    for node in nodes:
        if isinstance(node, ast.If) and _is_for_type_checking(node.test):
            yield from _executed(node.orelse)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        elif not isinstance(node, ast.Pass):
            yield node


def _is_empty_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == ""


def _is_for_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else getattr(test, "attr", None)
    return name == "TYPE_CHECKING"


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    """Dotted names; `from a import b` may mean the module a.b or a name within a."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = resolve_name("." * node.level + (node.module or ""), package)
    yield base
    yield from (f"{base}.{alias.name}" for alias in node.names)
