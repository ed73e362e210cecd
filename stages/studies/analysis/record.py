"""One cell's `cell.json`, read back without pandas so that the plan is quick.

Leaves writing it to `cell`.
"""

import json
from pathlib import Path
from typing import Any

from stages.core.errors import RunError


def read_cell(folder: Path) -> dict[str, Any] | None:
    """`cell.json` of one cell; None when it has not run. Raises RunError when it is damaged."""
    path = folder / "cell.json"
    return parse_cell(path.read_bytes(), path.as_posix()) if path.exists() else None


def parse_cell(content: bytes, where: str) -> dict[str, Any]:
    """The content of a `cell.json`. Raises RunError, naming `where`, when it is damaged."""
    try:
        return dict(json.loads(content))
    except ValueError as error:
        raise RunError(
            f"{where} is not valid JSON ({error}). Delete it and run `dvc repro` for the study."
        ) from None
