"""Which files a closure holds, in packages made for the purpose."""

from pathlib import Path

import pytest

from stages.runs.tree import SourceTree

FILES = {
    "__init__.py": "import os",
    "start.py": "from stages.room import one\ndef f():\n    from stages.deep.down import thing",
    "room/__init__.py": "",
    "room/one.py": "from . import two\nSHOWN = 'page.html'",
    "room/two.py": "if TYPE_CHECKING:\n    import stages.never\nRUN = ['-m', 'stages.child']",
    "room/two.safetensors": "numbers",
    "room/three.py": "",
    "deep/__init__.py": "from stages.deep import left, right",
    "deep/down.py": "from stages.deep.shared import x\nthing = x",
    "deep/shared.py": "x = 1",
    "deep/left.py": "import stages.deep.shared",
    "deep/right.py": "",
    "child.py": "",
    "never.py": "",
    "forms/page.html": '{% include "style.css" %}',
    "forms/style.css": "",
    "forms/other.html": "",
}
ALWAYS = {
    "__init__.py", "start.py", "room/__init__.py", "room/one.py", "room/two.py",
    "room/two.safetensors", "deep/__init__.py", "deep/down.py", "deep/shared.py", "child.py",
    "forms/page.html", "forms/style.css",
}  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "stages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "stages"


@pytest.mark.parametrize(
    ("chosen", "more"),
    [
        ({}, {"deep/left.py", "deep/right.py"}),
        ({"stages.deep": {"right"}}, {"deep/right.py"}),
        ({"stages.deep": set()}, set()),
        ({"stages.elsewhere": {"left"}}, {"deep/left.py", "deep/right.py"}),
    ],
)
def test_a_closure_holds_what_may_be_executed_or_read(
    chosen: dict[str, set[str]], more: set[str], made: Path
) -> None:
    found = SourceTree(made).closure("stages.start", chosen)
    assert set(found) == {f"stages/{name}" for name in ALWAYS | more}
    assert list(found) == sorted(found)


def test_a_tree_keeps_what_it_saw_and_a_new_one_looks_again(made: Path) -> None:
    tree = SourceTree(made)
    before = tree.closure("stages.start", {})
    (made / "room/one.py").write_text("x = 2")
    assert tree.closure("stages.start", {}) == before
    after = SourceTree(made).closure("stages.start", {})
    assert "stages/room/two.py" not in after
    assert after["stages/room/one.py"] != before["stages/room/one.py"]


def test_an_unknown_entry_has_no_files(made: Path) -> None:
    assert SourceTree(made).closure("stages.nowhere", {}) == {}
