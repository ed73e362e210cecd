"""Values of a run as they are shown: hashes cut short, of two lists only what differs.

`--json` has them in full.
"""

import re

UNKNOWN = "–"
SHORT = 12
"""Digits of a hash that are shown."""

NAME_FITS = 24
"""Characters of a run's name at the head of a column."""

_HASH = re.compile(r"[0-9a-f]{13,}")
WORD_LISTS = ("cpu_features", "sdpa")
"""Keys whose value is a list of words with spaces between."""


def shown(value: object) -> str:
    """A value as text; what a run does not say is a dash."""
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text[:SHORT] if _HASH.fullmatch(text) else text


def shown_pair(key: str, a: object, b: object) -> tuple[str, str, str]:
    """A key and its two values as text; of two lists, the words that the other one lacks."""
    if key not in WORD_LISTS or not (isinstance(a, str) and isinstance(b, str)):
        return key, shown(a), shown(b)
    one, other = a.split(), b.split()
    only_one = " ".join(word for word in one if word not in other)
    only_other = " ".join(word for word in other if word not in one)
    return f"{key}, in one alone", only_one or "none", only_other or "none"


def heads(a: str, b: str) -> tuple[str, str]:
    """What stands over two columns: the names of the runs, or where they are long their order."""
    return (a, b) if max(len(a), len(b)) <= NAME_FITS else ("first run", "second run")


def ratio_in_words(times_better: float) -> str:
    """A cost ratio as people say it: 4.5× better, 1.3× worse."""
    if is_same(times_better):
        return "the same"
    if times_better > 1:
        return f"{times_better:.2f}× better"
    return f"{1 / times_better:.2f}× worse"


def is_same(times_better: float) -> bool:
    """Whether a ratio is 1 to the two digits that are shown."""
    return 0.995 < times_better < 1.005
