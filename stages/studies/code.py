"""Which code made a cell, and what to say when cells were made by other code than the present.

A cell takes minutes to hours, so changed code does not repeat it: DVC runs a cell again for other
parameters, pictures or machines alone. Its file records the code, and plan and page tell.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import stages
from stages.studies.form import Form

# Rooms whose code decides a cell's figures.
ROOMS = ("core", "datasets", "measures", "models", "tasks", "training")
SHOWN = 8  # hex digits


@cache
def code_id() -> str:
    """A hash of the code that makes cells, as it stands: 16 hex digits."""
    root = Path(stages.__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def code_note(form: Form, codes: Sequence[str | None]) -> str | None:
    """How many of the cells that exist other code made, and how to repeat them; None if none.

    `codes` has what each cell's file says, None for a file that does not say.
    """
    other = [code for code in codes if code != code_id()]
    if not other:
        return None
    named = sorted({code[:SHOWN] for code in other if code})
    made = [f"by version {', '.join(named)}"] if named else []
    made += [f"{other.count(None)} by a version that they do not name"] if None in other else []
    return (
        f"{len(other)} of {len(codes)} runs were made by other code than the present version "
        f"{code_id()[:SHOWN]} ({'; '.join(made)}). They are kept. All are repeated by: "
        f"{form.repro('-f -k')} (one: {form.repro('-f', 'GRID@CELL')})."
    )
