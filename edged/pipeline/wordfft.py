"""The Fourier transform of 512 real samples in 16-bit integers, rounding as small devices do.

A model that was trained on what such a transform gives has learned its rounding: in a loud frame it buries the quiet bands, and an exact
transform would show the model something that it has never seen. The order of the roundings is that of KISS FFT in fixed point: radix 4,
each stage divided by its radix before it begins, products rounded to nearest.
"""

from __future__ import annotations

import numpy as np

from edged.domain.tensor import Array

SIZE = 512
HALF = SIZE // 2
RADIX = 4
STAGES = 4
"""Of radix 4: 256 complex numbers, each of two neighbouring samples."""
ONE_BITS = 15
ONE = (1 << ONE_BITS) - 1
"""What 1.0 is as a 16-bit word."""

Complex = tuple[Array, Array]
"""Real and imaginary part, int64 arrays of 16-bit values: NumPy has no complex integers."""


def rfft(samples: Array) -> Complex:
    """Transform each row: (n, 512) of 16-bit integers to (n, 257), divided by 512."""
    real, imag = _halved(_complex_fft((samples[:, 0::2], samples[:, 1::2])))
    at = np.arange(1, HALF // 2 + 1)
    mirrored = (real[:, HALF - at], -imag[:, HALF - at])
    even = (real[:, at] + mirrored[0], imag[:, at] + mirrored[1])
    odd = _product((real[:, at] - mirrored[0], imag[:, at] - mirrored[1]), _unit(-np.pi * (at / HALF + 0.5)))
    whole = (np.zeros((len(samples), HALF + 1), np.int64), np.zeros((len(samples), HALF + 1), np.int64))
    whole[0][:, 0], whole[0][:, HALF] = real[:, 0] + imag[:, 0], real[:, 0] - imag[:, 0]
    whole[0][:, at], whole[1][:, at] = (even[0] + odd[0]) >> 1, (even[1] + odd[1]) >> 1
    whole[0][:, HALF - at], whole[1][:, HALF - at] = (even[0] - odd[0]) >> 1, (odd[1] - even[1]) >> 1
    return whole


def _complex_fft(values: Complex) -> Complex:
    """Transform each row of (n, 256), decimating in time: stages of 4, 16, 64 and 256 points."""
    rows = len(values[0])
    # Stages work in place when the input is in the order of its base-4 digits reversed.
    order = np.arange(HALF).reshape((RADIX,) * STAGES).transpose().reshape(-1)
    real, imag = values[0][:, order], values[1][:, order]
    for stage in range(STAGES):
        points = RADIX**stage
        shape = (rows, HALF // (RADIX * points), RADIX, points)
        real, imag = _stage((real.reshape(shape), imag.reshape(shape)), points)
    return real.reshape(rows, HALF), imag.reshape(rows, HALF)


def _stage(values: Complex, points: int) -> Complex:
    """Join four transforms of ``points`` each, (n, groups, 4, points)."""
    real, imag = (_scaled(part, RADIX) for part in values)
    turn = -2 * np.pi * np.arange(points) / (RADIX * points)
    turned = [_product((real[:, :, k], imag[:, :, k]), _unit(turn * k)) for k in range(1, RADIX)]
    (r1, i1), (r2, i2), (r3, i3) = turned
    r0, i0 = real[:, :, 0], imag[:, :, 0]
    outer_sum, outer_difference = (r0 + r2, i0 + i2), (r0 - r2, i0 - i2)
    inner_sum, inner_difference = (r1 + r3, i1 + i3), (r1 - r3, i1 - i3)
    joined_real = (
        outer_sum[0] + inner_sum[0],
        outer_difference[0] + inner_difference[1],
        outer_sum[0] - inner_sum[0],
        outer_difference[0] - inner_difference[1],
    )
    joined_imag = (
        outer_sum[1] + inner_sum[1],
        outer_difference[1] - inner_difference[0],
        outer_sum[1] - inner_sum[1],
        outer_difference[1] + inner_difference[0],
    )
    return np.stack(joined_real, axis=2), np.stack(joined_imag, axis=2)


def _halved(values: Complex) -> Complex:
    return _scaled(values[0], 2), _scaled(values[1], 2)


def _scaled(words: Array, divisor: int) -> Array:
    return _rounded(words * (ONE // divisor))


def _product(some: Complex, others: Complex) -> Complex:
    (a, b), (c, d) = some, others
    return _rounded(a * c - b * d), _rounded(a * d + b * c)


def _rounded(products: Array) -> Array:
    return np.asarray((products + (1 << (ONE_BITS - 1))) >> ONE_BITS)


def _unit(angles: Array) -> Complex:
    """Give points on the unit circle as words."""
    return (
        np.floor(0.5 + ONE * np.cos(angles)).astype(np.int64),
        np.floor(0.5 + ONE * np.sin(angles)).astype(np.int64),
    )
