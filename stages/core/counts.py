"""Counts with their noun, as sentences need them: 1 epoch, 2 epochs, 1,295 images."""


def counted(count: float, noun: str, nouns: str | None = None) -> str:
    """The count, thousands grouped, and the noun; `nouns` where the plural is not noun + s."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"
