"""dvc.yaml names every source file that a stage uses, and stage modules stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def file_of(module: str) -> Path | None:
    """The source file of one of our modules; None for those of others."""
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def imported_by(path: Path) -> set[Path]:
    """Our files that a file imports, anywhere in it but for type checking; packages as a whole
    where it looks for their modules at run time."""
    found: set[Path] = set()
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {file for name in names if name.startswith("stages.") and (file := file_of(name))}
    if "iter_modules" in path.read_text():
        found |= set(path.parent.rglob("*.py"))
    return found


def closure(path: Path) -> set[Path]:
    """All our files that running `path` may load."""
    seen: set[Path] = set()
    waiting = {path}
    while waiting:
        file = waiting.pop()
        seen.add(file)
        waiting |= imported_by(file) - seen
    return seen


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_source_file_of_a_stage_is_a_dependency(stage: str) -> None:
    declared = [ROOT / str(dep) for dep in PIPELINE[stage]["deps"] if "${" not in str(dep)]
    missing = sorted(
        str(file.relative_to(ROOT))
        for file in closure(ROOT / "stages" / f"{stage}.py")
        if not any(file == dep or dep in file.parents for dep in declared)
        and file != ROOT / "stages" / "__init__.py"
    )
    assert not missing, f"stage {stage} in dvc.yaml misses deps: {missing}"


@pytest.mark.parametrize("stage", PIPELINE)
def test_dependencies_exist_or_are_made_by_a_stage(stage: str) -> None:
    made = {
        path if isinstance(path, str) else next(iter(path))
        for other in PIPELINE.values()
        for kind in ("outs", "metrics", "plots")
        for path in other.get(kind, [])
    }
    for dep in PIPELINE[stage]["deps"]:
        assert "${" in dep or dep in made or (ROOT / dep).exists(), dep


@pytest.mark.parametrize("stage", PIPELINE)
def test_help_loads_nothing_heavy(stage: str) -> None:
    """`--help` answers at once: it must not wait for torch, pandas or matplotlib."""
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"stages.{stage}", "--help"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert not loaded & {"torch", "timm", "pandas", "matplotlib", "sklearn", "scipy", "pydantic"}
    assert f"python -m stages.{stage}" in told.stdout
