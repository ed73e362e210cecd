"""Metrics files: the few figures that DVC's tables show, and all the rest of a stage's result.

DVC prints every number and text of a metrics file, however long, and passes over lists. A file of
its own for the rest would be an output with `cache: false`, and such an output switches off the
run cache of its stage, which a metrics file does not. So the rest stands in the same file, under
`details`, as a list of one object.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stages.core.files import read_json, write_json
from stages.core.records import SEAL, damaged, seal_of, unsealed

Metrics = dict[str, Any]

DETAILS = "details"
DECIMALS = 5  # as many as DVC prints: a finer change would be shown as -0.0


def write_metrics(path: Path | str, values: Mapping[str, Any], shown: Iterable[str]) -> None:
    """Write `values`, of which DVC shows those that `shown` names, to five decimals.

    `details` holds what the shown figures do not say, or not to the last bit. Raises KeyError for
    a name without a value, and ValueError for NaN and infinities.
    """
    top = {name: _rounded(values[name]) for name in shown}
    rest = {name: value for name, value in values.items() if name not in top or top[name] != value}
    seal = seal_of({**top, DETAILS: [rest]})
    write_json(path, {**top, DETAILS: [rest | {SEAL: seal}]})


def read_metrics(path: Path | str) -> Metrics:
    """All values of a metrics file, as they were measured.

    Raises RunError when it is missing or damaged.
    """
    content = read_json(path)
    try:
        if not isinstance(content, dict):
            raise ValueError("it does not hold keys and values")
        return all_values(content)
    except ValueError as error:
        raise damaged(Path(path), str(error)) from None


def all_values(content: Mapping[str, Any]) -> Metrics:
    """The values of a file's content; files from before there were details are their own.

    Raises ValueError when they do not fit the hash that was written with them.
    """
    rest = content.get(DETAILS)
    if not (isinstance(rest, list) and len(rest) == 1 and isinstance(rest[0], dict)):
        if SEAL in str(list(content.values())):
            raise ValueError(f"its `{DETAILS}` are not where they were written")
        return unsealed(content)
    top = {name: value for name, value in content.items() if name != DETAILS}
    inner = {name: value for name, value in rest[0].items() if name != SEAL}
    if SEAL in rest[0]:
        unsealed({**top, DETAILS: [inner], SEAL: rest[0][SEAL]})
    return top | inner


def _rounded(value: Any) -> Any:
    """Floats to `DECIMALS`; adding zero makes -0.0 a plain zero."""
    return round(value, DECIMALS) + 0.0 if isinstance(value, float) else value
