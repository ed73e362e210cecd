"""Counts and nouns agree."""

import pytest

from stages.core.counts import counted


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1295, "1,295 images")]
)
def test_a_noun_has_the_number_of_its_count(count: int, words: str) -> None:
    assert counted(count, "image") == words


def test_an_irregular_plural_is_given() -> None:
    assert counted(10, "class", "classes") == "10 classes"
