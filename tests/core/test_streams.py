"""Streams are the same for ever and everywhere, and they are what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from stages.core.streams import integers, normal_quantile, normals, order, stream, uniforms

names = st.tuples(st.integers(0, 2**63 - 1), st.text(max_size=10), st.integers(0, 1000))


def test_golden_integers():
    """NumPy promises these (NEP 19); a change would make every old run unrepeatable."""
    first = integers(stream(0, "order", 3), 3)
    assert first.tolist() == [8711911753731669679, 11546983467286322977, 17768869292190602626]
    weights = integers(stream(2**63 - 1, "weights", "conv1.weight"), 2)
    assert weights.tolist() == [6343569275829808569, 18031664057786336804]


def test_golden_numbers():
    """To the last bit, in hexadecimal."""
    assert [u.hex() for u in uniforms(stream(0, "uniforms"), 2)] == [
        "0x1.08f48f1863628p-5",
        "0x1.e51af75785085p-2",
    ]
    assert [x.hex() for x in normals(stream(0, "normals"), 3)] == [
        "0x1.21a11ecd0b45cp+1",
        "-0x1.4d810c30bd812p-1",
        "-0x1.161a84f737bebp-1",
    ]
    assert order(stream(0, "order", 0), 10).tolist() == [8, 4, 6, 2, 7, 0, 5, 9, 1, 3]


@given(names, names)
def test_each_name_has_its_own_stream(one, other):
    same = "/".join(map(str, one)) == "/".join(map(str, other))
    equal = integers(stream(*one), 4).tolist() == integers(stream(*other), 4).tolist()
    assert equal == same


@given(names, st.integers(1, 50), st.integers(1, 50))
def test_a_stream_goes_on(name, first, second):
    source = stream(*name)
    parts = np.concatenate([integers(source, first), integers(source, second)])
    np.testing.assert_array_equal(parts, integers(stream(*name), first + second))


@given(names, st.integers(0, 300))
def test_an_order_is_a_permutation(name, count):
    result = order(stream(*name), count)
    assert result.dtype == np.int64
    assert sorted(result.tolist()) == list(range(count))


class Fixed:
    """A source of chosen integers."""

    def __init__(self, *values: int) -> None:
        self.values = np.array(values, np.uint64)

    def random_raw(self, count: int) -> np.ndarray:
        return self.values[:count]


@given(st.integers(0, 2**64 - 1))
def test_uniforms_never_touch_the_ends(value):
    (uniform,) = uniforms(Fixed(value), 1)
    assert 0 < uniform < 1
    assert abs(uniform - value / 2**64) <= 2**-52
    assert np.isfinite(normal_quantile(np.array([uniform]))).all()


def test_the_extremes_are_symmetric_enough():
    lowest, highest = uniforms(Fixed(0, 2**64 - 1), 2)
    assert lowest == 2**-54
    assert highest == 1 - 2**-53
    low, high = normal_quantile(np.array([lowest, highest]))
    assert -8.4 < low < -8.2 < 8.2 < high < 8.4


@given(st.floats(1e-300, 1 - 2**-53))
def test_quantiles_agree_with_scipy(p):
    ours = normal_quantile(np.array([p]))[0]
    theirs = special.ndtri(p)
    # Near 0.5 both are differences of nearly equal numbers: the error there is absolute.
    assert ours == pytest.approx(theirs, rel=2e-14, abs=1e-16)


def test_quantiles_over_the_whole_range():
    p = np.concatenate([np.logspace(-300, -1, 5000), np.linspace(0.1, 0.9, 5001)])
    ours, theirs = normal_quantile(p), special.ndtri(p)
    np.testing.assert_allclose(ours, theirs, rtol=2e-14, atol=1e-16)
    assert (np.diff(normal_quantile(np.sort(p))) >= 0).all()


def test_quantiles_are_odd_and_keep_the_shape():
    p = np.array([[0.25, 0.5], [0.75, 2**-10]])
    result = normal_quantile(p)
    assert result.shape == (2, 2)
    assert result[0, 1] == 0
    assert result[0, 0] == -result[1, 0]
    assert normal_quantile(np.empty((0, 3))).shape == (0, 3)


def test_blocks_do_not_show():
    p = uniforms(stream(1, "blocks"), 40_000)
    whole = normal_quantile(p)
    np.testing.assert_array_equal(whole[16_380:16_390], normal_quantile(p[16_380:16_390]))


def test_the_distributions_are_right():
    """With a fixed seed: these do not fail by chance."""
    assert stats.kstest(uniforms(stream(0, "test"), 20_000), "uniform").pvalue > 0.01
    assert stats.kstest(normals(stream(0, "test"), 20_000), "norm").pvalue > 0.01
    firsts = [int(order(stream(0, "test", epoch), 10)[0]) for epoch in range(2000)]
    assert stats.chisquare(np.bincount(firsts, minlength=10)).pvalue > 0.01
