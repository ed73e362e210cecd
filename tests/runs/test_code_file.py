"""The hash of a file: deaf to all that is not executed, awake to all that is."""

import ast
import io
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.runs.code_file import read_code_file

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "stages").rglob("*.py"))
SAMPLE = '''"""Every kind of node that differs between Python versions, or might."""
from __future__ import annotations
import os as system
from . import near
from ..far import thing as other
@near.decorated(key=1)
class A(other, metaclass=type):
    """Said of A."""
    x: int = -1
    y: str
    async def f(self, a, /, b=2.5, *rest, c: int = None, **more) -> bool:
        """Said of f."""
        async with a as (d, e):
            return f"{a!r:>{b}}{c:.2f} \\u00e9" 'joined' if (n := a) else b"\\xff" or ...
    def g(self):
        pass
try:
    z = [i for i in range(10) if i and not i % 3]
except* (ValueError, KeyError) as error:
    raise TypeError from error
match z:
    case [1, *_] | {"k": 2, **_} if z:
        del z[0:1, ::2]
    case _:
        global_ = lambda *, k=1j: (yield)
'''
# Golden: the same under every version of Python that is supported.
SAMPLE_DIGEST = "411c00a55b819777565caf6327aebbe057c6a0df5263fe4addd7ecbffdc192fc"


def digest(text: str) -> str:
    return read_code_file(text.encode(), "stages.some.package").digest


def test_the_hash_is_the_same_under_every_python() -> None:
    assert digest(SAMPLE) == SAMPLE_DIGEST


@settings(max_examples=40)
@given(data=st.data())
def test_comments_blank_lines_and_docstrings_change_nothing(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(FILES)).read_text()
    lines = text.splitlines()
    ends = [
        token.start[0]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type in (tokenize.NEWLINE, tokenize.NL)
    ]
    bodies = [
        (node.body[0].lineno, node.body[0].col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and lines[node.body[0].lineno - 1][: node.body[0].col_offset].isspace()
        and not getattr(node.body[0], "decorator_list", None)
    ]
    inserted = [
        *((line + 1, "# said") for line in data.draw(st.lists(st.sampled_from(ends)))),
        *((line + 1, "") for line in data.draw(st.lists(st.sampled_from(ends)))),
    ]
    if bodies:
        inserted += [
            (line, " " * column + '"""Said."""')
            for line, column in data.draw(st.lists(st.sampled_from(bodies)))
        ]
    for line, said in sorted(inserted, reverse=True):
        lines.insert(line - 1, said)
    assert digest("\n".join(lines)) == digest(text)


@settings(max_examples=40)
@given(data=st.data())
def test_any_executed_constant_changes_it(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(FILES)).read_text()
    tree = ast.parse(text)
    said = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr | ast.If)
        and (not isinstance(node, ast.If) or "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
        if isinstance(node, ast.If) or isinstance(node.value, ast.Constant)
    }
    constants = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and id(node) not in said and node.value is not Ellipsis
    ]
    if constants:
        chosen = data.draw(st.sampled_from(constants))
        chosen.value = b"another" if isinstance(chosen.value, bytes) else "another"
        assert digest(ast.unparse(tree)) != digest(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = '1'", "x = b'1'"),
        ("x = a - b", "x = b - a"),
        ("f(a=1)", "f(b=1)"),
        ("def f(a, b=1): return a", "def f(a, *, b=1): return a"),
        ("x = {**a, 1: 2}", "x = {1: 2, **a}"),
        ("from . import a", "from .. import a"),
        ("async def f(): pass", "def f(): pass"),
        ("x: int", "x: int = 1"),
        ("def f():\n    '''Doc.'''", "def f():\n    return '''Doc.'''"),
        ("if a:\n    pass\nelse:\n    b()", "if a:\n    b()"),
    ],
)
def test_what_is_executed_differs(one: str, other: str) -> None:
    assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = (1 +\n  2)", "x = 1 + 2"),
        ('x = "a"', "x = u'''a'''"),
        ("x = 0.001", "x = 1e-3"),
        ("if TYPE_CHECKING:\n    import torch\nx = 1", "x = 1"),
        ("if typing.TYPE_CHECKING:\n    import torch\nelse:\n    x = 1", "x = 1"),
        ("x = 1\n'''What x is.'''", "x = 1"),
        ("class A:\n    '''Doc.'''", "class A:\n    pass"),
    ],
)
def test_what_is_executed_is_the_same(one: str, other: str) -> None:
    assert digest(one) == digest(other)


def test_imports_are_found_wherever_they_stand() -> None:
    source = read_code_file(
        b"import stages.a\nfrom stages.b import c\nfrom . import d\nfrom ..e import f\n"
        b"def g():\n    if g:\n        from stages.h import i\n"
        b"if TYPE_CHECKING:\n    import stages.never\n",
        "stages.some.package",
    )
    assert source.imports == {
        "stages.a", "stages.b", "stages.b.c", "stages.some.package", "stages.some.package.d",
        "stages.some.e", "stages.some.e.f", "stages.h", "stages.h.i",
    }  # fmt: skip


def test_a_file_that_is_not_python_has_the_hash_of_its_bytes() -> None:
    assert digest("x = (") != digest("x = [")
