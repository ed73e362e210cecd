"""YAML as DVC reads it: version 1.2, by the same library with the same settings.

`040` is 40, `1:30` and `yes` are text, `1e-3` is a number, and a key given twice is a mistake.
"""

import re
from typing import Any

MOST_VALUES = 1_000_000  # dvc.lock of hundreds of stages has some ten thousand


class YamlError(ValueError):
    """The text is not YAML, or not a finite tree of values; says what is wrong, and where."""


def parse_yaml(text: str) -> Any:
    """The value of a YAML text. Raises YamlError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        value = YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        twice = re.match(r'found duplicate key "(.*)" with value', error.problem or "")
        told = f"the key {twice[1]} is given twice" if twice else error.problem or error.context
        raise YamlError(f"{told}{place}") from None
    except (YAMLError, ValueError, OverflowError) as error:  # also a number of too many digits
        raise YamlError(" ".join(str(error).split())) from None
    except RecursionError:
        raise YamlError("it is nested too deeply") from None
    _require_a_finite_tree(value)
    return value


def is_text(text: str) -> bool:
    """Whether a YAML text is nothing but itself: no number, date, null, mapping or mistake."""
    try:
        return bool(parse_yaml(text) == text)
    except YamlError:
        return False


def _require_a_finite_tree(value: Any) -> None:
    """Raise YamlError when aliases make the value contain itself, or far more than was written."""
    waiting, met = [value], 0
    while waiting:
        inner = waiting.pop()
        met += 1
        if met > MOST_VALUES:
            raise YamlError(f"its aliases (*name) repeat more than {MOST_VALUES:,} values")
        if isinstance(inner, dict):
            waiting.extend(inner.values())
        elif isinstance(inner, (list, set)):
            waiting.extend(inner)
