"""What charts compute before they draw: counts, ranks and mosaics, against independent means."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.charts.confusion import counts, most_confused
from stages.charts.hardest import hardest_rows
from stages.charts.mosaic import as_pictures, mosaic

CLASSES = ["cat", "dog", "emu"]
ANSWERS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1)


@given(ANSWERS)
def test_counts_agree_with_a_cross_table(answers: list[tuple[str, str]]) -> None:
    table = pd.DataFrame(answers, columns=["label", "predicted"])
    expected = pd.crosstab(table["label"], table["predicted"])
    expected = expected.reindex(index=CLASSES, columns=CLASSES, fill_value=0)
    assert np.array_equal(counts(table, CLASSES), expected.to_numpy())


@given(ANSWERS)
def test_mistakes_are_ranked_and_add_up(answers: list[tuple[str, str]]) -> None:
    table = pd.DataFrame(answers, columns=["label", "predicted"])
    mistakes = most_confused(table, pairs=9)
    assert mistakes["images"].sum() == (table["label"] != table["predicted"]).sum()
    assert mistakes["images"].is_monotonic_decreasing
    assert (mistakes["share"] > 0).all()
    assert (mistakes.groupby("label")["share"].sum() <= 1 + 1e-12).all()


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(1, 40))
def test_hardest_have_the_largest_loss(losses: list[float], count: int) -> None:
    rows = hardest_rows(pd.DataFrame({"loss": losses}), count)
    assert sorted(losses, reverse=True)[:count] == list(rows["loss"])
    assert [losses[place] for place in rows.index] == list(rows["loss"])


@given(arrays(np.float64, st.tuples(*[st.integers(1, 6)] * 3), elements=st.floats(0, 1)),
       st.integers(1, 4), st.integers(0, 3))  # fmt: skip
def test_every_tile_of_a_mosaic_is_in_its_place(
    tiles: np.ndarray, columns: int, gap_px: int
) -> None:
    whole = mosaic(tiles, columns, gap_px)
    _, height, width = tiles.shape
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + gap_px), i % columns * (width + gap_px)
        assert np.array_equal(whole[top : top + height, left : left + width], tile)


def test_bytes_and_shares_give_the_same_picture() -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4)
    assert np.allclose(as_pictures(pixels), as_pictures(pixels / 255.0))
    assert as_pictures(pixels).shape == (1, 4, 4, 3)
