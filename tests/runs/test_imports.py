"""Stages and tools are run, never imported: what others need of them lies in a package."""

from pathlib import Path

from stages.runs.code_file import read_code_file


def test_no_script_is_a_library(root: Path) -> None:
    code = root / "stages"
    scripts = {
        f"stages.{path.stem}" for path in code.glob("*.py") if '"__main__"' in path.read_text()
    }
    assert len(scripts) > 10
    for path in code.rglob("*.py"):
        package = ".".join(path.relative_to(root).parent.parts)
        assert not scripts & read_code_file(path.read_bytes(), package).imports, path
