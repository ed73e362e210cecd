"""Bounded integers from random streams, and what they mean: fractions in 1/65536."""

import numpy as np
from numpy.typing import NDArray

from stages.core import streams

ONE = 1 << 16


def below(source: np.random.Philox, bound: int, *shape: int) -> NDArray[np.int64]:
    """Integers in 0 … bound-1 (bound at most 2^31), of the shape given.

    By multiplication and shift (Lemire 2019) of 32 random bits; the bias is below bound / 2^32.
    """
    high = streams.integers(source, int(np.prod(shape))) >> np.uint64(32)
    return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64).reshape(shape)


def fractions(source: np.random.Philox, *shape: int) -> NDArray[np.int64]:
    """Integers in 0 … 65535, standing for fractions in 0…1."""
    return below(source, ONE, *shape)
