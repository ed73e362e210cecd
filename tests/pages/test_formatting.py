"""Figures in words: rounded as people read them, and never 0 for what is unknown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.pages.formatting import NONE, duration, interval, large, number, percent, plain

UNKNOWN = [None, math.nan]


@pytest.mark.parametrize("value", UNKNOWN)
def test_unknown_is_a_dash(value: float | None) -> None:
    assert {percent(value), number(value), large(value), duration(value)} == {NONE}
    assert interval(value, 0.5) == interval(0.5, value) == NONE


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (percent(0.91234), "91.2 %"),
        (interval(0.9, 0.95), "90.0 to 95.0 %"),
        (number(11173962), "11,173,962"),
        (number(0.012345), "0.0123"),
        (number(1234.5), "1,234"),
        (number(float("inf")), "inf"),
        (large(11173962), "11.2 M"),
        (large(62006), "62 k"),
        (large(10), "10"),
        (large(999_700), "1 M"),
        (large(999_400), "999 k"),
        (duration(12.345), "12.3 s"),
        (duration(600), "10 min"),
        (duration(7200), "2 h"),
        (plain(None), NONE),
        (plain(True), "true"),
        (plain([]), "none"),
        (plain(["crop", "flip"]), "crop, flip"),
        (plain({}), "none"),
    ],
)
def test_examples(written: str, expected: str) -> None:
    assert written == expected


@given(st.floats(1e-3, 1e12))
def test_three_digits_are_enough_to_read_back(value: float) -> None:
    read = float(number(value).replace(",", ""))
    assert read == pytest.approx(value, rel=0.006)


@given(st.floats(0, 1))
def test_percent_is_right_to_its_digit(share: float) -> None:
    assert float(percent(share).removesuffix(" %")) == pytest.approx(100 * share, abs=0.051)
