"""A study's `cell.json`, read back without pandas so that the plan of a study is quick."""

import json
from pathlib import Path
from typing import Any

from stages.core.errors import RunError
from stages.core.records import unsealed
from stages.runs.schema import CELL

SECTIONS = ("machine", "params", "diverged", "train", "trace", "evaluate", "profile")


def read_cell(folder: Path) -> dict[str, Any] | None:
    """`cell.json` of one cell; None when it has not run. Raises RunError when it is damaged."""
    path = folder / CELL
    return parse_cell(path.read_bytes(), path.as_posix()) if path.exists() else None


def parse_cell(content: bytes, where: str) -> dict[str, Any]:
    """The content of a `cell.json`. Raises RunError, naming `where`, when it is damaged."""
    try:
        cell = unsealed(json.loads(content))
        wrong = [name for name in SECTIONS if not isinstance(cell.get(name) or {}, dict)]
        if wrong or not cell.get("machine"):
            raise ValueError(f"`{[*wrong, 'machine'][0]}` holds no keys and values")
    except (ValueError, AttributeError) as error:
        raise RunError(
            f"{where} is no result of a cell ({error}). Delete it and run `dvc repro` for the "
            "study."
        ) from None
    return dict(cell)
