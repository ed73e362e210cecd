"""Random integers that are the same everywhere: named, counter-style streams.

A stream is named by a seed and a purpose ("order", epoch 3; "weights"). Its integers come from
Philox-4x64 (Salmon et al., SC 2011), keyed by a SHA-256 of the name. NumPy promises that the
integers of a BitGenerator never change (NEP 19) and makes no such promise for anything derived
from them, so uniforms, normals and orders are finished here, in operations that IEEE 754 fixes
to the bit: no `log`, `exp` or `cos` of a maths library, no reduction, no fused multiply-add.

Any epoch or step can be drawn without the ones before. Leaves the use of the draws to others.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def stream(seed: int, *purpose: str | int) -> np.random.Philox:
    """A bit generator for `purpose`, e.g. `stream(seed, "order", epoch)`."""
    name = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.Philox(key=int.from_bytes(digest[:16], "little"))


def integers(source: np.random.Philox, count: int) -> NDArray[np.uint64]:
    """`count` raw 64-bit integers, shape [count]."""
    return source.random_raw(count)


def uniforms(source: np.random.Philox, count: int) -> NDArray[np.float64]:
    """Uniform numbers in (0, 1), shape [count]: 53 bits and a half, never 0 or 1."""
    bits = integers(source, count) >> np.uint64(11)
    # At most 2^53 - 1: exact in float64. The half keeps the result off 0; from 2^52 on it rounds
    # to even, and 2^53 - 1/2 would round up to 1, so the largest is held just below.
    return np.minimum((bits.astype(np.float64) + 0.5) * 2.0**-53, 1.0 - 2.0**-53)


def order(source: np.random.Philox, count: int) -> NDArray[np.int64]:
    """A random permutation of 0 … count-1: the stable argsort of raw integers, shape [count]."""
    return np.argsort(integers(source, count), kind="stable").astype(np.int64)


def normals(source: np.random.Philox, count: int) -> NDArray[np.float64]:
    """Standard normal numbers, shape [count], by inversion of uniforms."""
    return normal_quantile(uniforms(source, count))


def normal_quantile(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of the normal distribution function for p in (0, 1), elementwise.

    Algorithm AS 241, PPND16 (Wichura 1988), relative accuracy about 1e-16, built from
    operations that round the same way on every machine.
    """
    flat = np.ravel(p)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):  # blocks that stay in the processor's cache
        result[start : start + _BLOCK] = _quantile_block(flat[start : start + _BLOCK])
    return result.reshape(p.shape)


_BLOCK = 1 << 14
_SQRT2 = 1.4142135623730951
_LN2 = 0.6931471805599453


def _quantile_block(p: NDArray[np.float64]) -> NDArray[np.float64]:
    q = p - 0.5
    r = 0.180625 - q * q
    result = q * _ratio(_CENTRE, r)
    tail = np.abs(q) > 0.425
    if tail.any():
        smaller = np.minimum(p[tail], 1.0 - p[tail])
        r = np.sqrt(-_log(smaller))
        size = np.where(r <= 5.0, _ratio(_NEAR_TAIL, r - 1.6), _ratio(_FAR_TAIL, r - 5.0))
        result[tail] = np.where(q[tail] < 0, -size, size)
    return result


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of positive numbers from exact and correctly rounded steps only."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < _SQRT2 / 2
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    exponent = np.where(low, exponent - 1, exponent).astype(np.float64)
    # ln m = 2 artanh s with s = (m - 1)/(m + 1), |s| < 0.172: twelve terms leave below 1e-19.
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for k in range(23, 0, -2):
        series = series * square + 1.0 / k
    return exponent * _LN2 + 2.0 * s * series


def _ratio(
    coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: NDArray[np.float64]
) -> NDArray[np.float64]:
    above, below = np.zeros_like(r), np.zeros_like(r)
    for a, b in zip(*coefficients, strict=True):
        above = above * r + a
        below = below * r + b
    quotient: NDArray[np.float64] = above / below
    return quotient


# Coefficients of AS 241, highest power first: numerator, denominator.
_CENTRE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_NEAR_TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip
