"""How far a window's distribution is from the reference's, and how many of a stream's samples tell something of their own."""

from __future__ import annotations

import numpy as np

from edged.domain.tensor import Array

SMOOTHING = 0.5
"""Added to every bin, as Jeffreys' prior does: an empty bin would make the index infinite."""
WIDTH = 5.0
"""Sokal's factor: the sum ends where the lag is so many autocorrelation times; farther out it adds noise only."""


def population_stability(counts: Array, shares: Array) -> Array:
    """Give the population stability index of windows against the shares of a reference: 0 for the same, without bound.

    Sum over bins of (p - q) ln(p / q), with p and q smoothed alike: the symmetrised Kullback-Leibler divergence (Jeffreys 1946).

    Args:
        counts: (..., bins), how many samples of each window fell into each bin.
        shares: (..., bins), of the reference, summing to 1.
    """
    size = counts.sum(axis=-1, keepdims=True)
    added = SMOOTHING * counts.shape[-1]
    present = (counts + SMOOTHING) / (size + added)
    usual = (shares * size + SMOOTHING) / (size + added)
    index: Array = ((present - usual) * np.log(present / usual)).sum(axis=-1)
    return index


def cuts_of(values: Array, apart: float, bins: int = 10) -> Array:
    """Give where to cut (n,) values into about ``bins`` bins of equal shares, at least ``apart`` from each other.

    Two more bins lie outside all values, farther than ``apart``: what was never seen before falls there.
    """
    inner = np.quantile(values, np.arange(1, bins) / bins)
    kept = [float(values.min()) - apart]
    for cut in inner:
        if cut - kept[-1] >= apart:
            kept.append(float(cut))
    last = float(values.max()) + apart
    return np.array([*(cut for cut in kept if cut < last), last])


def autocorrelation_time(values: Array) -> float:
    """Give how many successive samples tell as much as one independent one, at least 1.

    1 + 2 * the sum of autocorrelations, cut off where the lag is ``WIDTH`` times that: Sokal, "Monte Carlo Methods in Statistical
    Mechanics" (1997), section 3. (n,) in; numbers that do not vary count as independent.
    """
    count = len(values)
    centred = values - values.mean()
    if count < 2 or not centred.any():  # noqa: PLR2004 - one sample has no neighbour
        return 1.0
    padded = 1 << (2 * count - 1).bit_length()
    spectrum = np.abs(np.fft.rfft(centred, padded)) ** 2
    covariance = np.fft.irfft(spectrum, padded)[:count]
    times = 2.0 * np.cumsum(covariance / covariance[0]) - 1.0
    enough = np.arange(count) >= WIDTH * times
    return max(1.0, float(times[int(np.argmax(enough)) if enough.any() else -1]))
