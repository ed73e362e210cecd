"""Which code made a cell, and what to say when cells were made by other code than the present.

A cell takes minutes to hours, so changed code does not repeat it: DVC runs a cell again for other
parameters, pictures or machines alone. Its file records the code, and plan and page tell.
"""

from collections.abc import Iterable

from stages.core.counts import first_few
from stages.core.params import Params
from stages.runs.code import code_files, code_id
from stages.studies.spec.study_config import StudyConfig

MODULE = "stages.studies.run.cell"
SHOWN = 8  # hex digits
NAMED = 3  # versions


def cell_code(params: Params) -> str:
    """The identity of the code that makes a cell with these parameters: 12 hex digits."""
    return code_id(code_files(MODULE, params))


def code_note(
    form: StudyConfig, made: Iterable[tuple[str, str | None]], verified: int = 0
) -> str | None:
    """How many of the cells that exist other code made, and how to repeat them; None if none.

    `made` has (name of the cell, what its file says); None for a file that does not say. The
    `verified` ones are not in it: whatever code made them, a later one made them again.
    """
    present = {cell.name: cell_code(form.params(cell)) for cell in form.cells}
    codes = [(code, present.get(name)) for name, code in made]
    other = [code for code, now in codes if code != now]
    if not other:
        return None
    named = sorted({code[:SHOWN] for code in other if code})
    told = [f"by version {first_few(named, NAMED)}"] if named else []
    told += [f"{other.count(None)} by a version that they do not name"] if None in other else []
    apart = f", and are not among the {verified} that were verified" if verified else ""
    return (
        f"{len(other)} of {len(codes) + verified} runs were made by other code than the present "
        f"one ({'; '.join(told)}){apart}. They are kept. All are repeated by: "
        f"{form.repro('-f -k')} (one: {form.repro('-f', 'GRID@CELL')})."
    )
