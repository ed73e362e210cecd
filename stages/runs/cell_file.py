"""A study's `cell.json`, read back without pandas so that the plan of a study is quick."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.errors import RunError
from stages.core.files import sha256_of_file
from stages.core.paths import STUDIES
from stages.core.records import FILES, SEAL, unsealed
from stages.runs.schema import CELL
from stages.runs.sources import WORKSPACE

SECTIONS = ("machine", "params", "diverged", "train", "trace", "evaluate", "profile")
TOLD = ("cell", "model", "size", "recipe", "seed", "status", "params_id")


def read_cell(folder: Path) -> dict[str, Any] | None:
    """`cell.json` of one cell; None when it has not run. Raises RunError when it is damaged."""
    path = folder / CELL
    return parse_cell(path.read_bytes(), path.as_posix()) if path.exists() else None


def mend_of_cell(where: str) -> str:
    """What to do about a cell whose files are damaged, by its folder, or where it is seen from a
    revision or a folder around it, that and `:` before it.
    """
    revision, _, place = place_of(where).rpartition(":")
    if revision:
        return f"It is so in {revision}: leave that out, or make the cell anew there."
    folder = Path(place)
    name, cells, _ = folder.as_posix().removeprefix(f"{STUDIES}/").partition("/cells/")
    if not cells:
        return f"Delete that folder, or if it is in git, `git restore {folder.as_posix()}`."
    return (
        f"Delete {folder.as_posix()} and run `dvc --cd {STUDIES} repro -k {name}/dvc.yaml`, or if "
        f"it is in git, `git restore {folder.as_posix()}`."
    )


def place_of(where: str) -> str:
    """A path where a source's name is one on this disk; else that name, `REVISION:PATH`."""
    revision, _, place = where.rpartition(":")
    if revision == WORKSPACE:
        return place
    return f"{Path(revision) / place}" if Path(revision).is_dir() and revision else where


def read_or_fault(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """`cell.json` as `read_cell`, None for a damaged one, and what is the matter with the files."""
    try:
        cell = read_cell(folder)
    except (RunError, IsADirectoryError):
        return None, f"{CELL} is damaged"
    return cell, damaged_table(folder, cell or {})


def damaged_table(folder: Path, cell: Mapping[str, Any]) -> str:
    """Which table of a cell is gone or is not the one that was recorded; empty for none."""
    for name, digest in (cell.get(FILES) or {}).items():
        path = folder / name
        if not path.exists():
            return f"{name} is gone"
        if sha256_of_file(path) != digest:
            return f"{name} is damaged"
    return ""


def parse_cell(content: bytes, where: str) -> dict[str, Any]:
    """The content of a `cell.json`. Raises RunError, naming `where`, when it is damaged."""
    try:
        cell = json.loads(content)
        if not isinstance(cell, dict):
            raise ValueError("it does not hold keys and values")
        if FILES in cell and SEAL not in cell:  # both came with one version
            raise ValueError(f"its {SEAL} was taken out: it was edited")
        cell = unsealed(cell)
        wrong = [name for name in SECTIONS if not isinstance(cell.get(name) or {}, dict)]
        if wrong or not cell.get("machine"):
            raise ValueError(f"`{[*wrong, 'machine'][0]}` holds no keys and values")
        machine = cell["machine"]
        if lacking := [
            *(name for name in TOLD if name not in cell),
            *(f"machine.{name}" for name in ("id", "declared_id") if name not in machine),
        ]:
            raise ValueError(f"it has no `{lacking[0]}`")
    except (ValueError, RecursionError) as error:
        raise RunError(
            f"{place_of(where)} is no result of a cell ({error}). "
            f"{mend_of_cell(where.rpartition('/')[0])}"
        ) from None
    return cell
