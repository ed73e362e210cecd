"""Counts and nouns agree."""

import pytest

from stages.core.counts import counted, first_few


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1295, "1,295 images")]
)
def test_a_noun_has_the_number_of_its_count(count: int, words: str) -> None:
    assert counted(count, "image") == words


def test_an_irregular_plural_is_given() -> None:
    assert counted(10, "class", "classes") == "10 classes"


def test_a_long_list_is_cut_and_counted() -> None:
    assert first_few("ab", 2) == "a, b"
    assert first_few(iter("abcd"), 2) == "a, b and 2 more"
    assert first_few([], 2) == ""
