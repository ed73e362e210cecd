"""Counts and lists as sentences need them: 1 epoch, 1,295 images; a, b, c and 4 more."""

from collections.abc import Iterable


def counted(count: float, noun: str, nouns: str | None = None) -> str:
    """The count, thousands grouped, and the noun; `nouns` where the plural is not noun + s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def first_few(names: Iterable[str], most: int) -> str:
    """The first of the names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
