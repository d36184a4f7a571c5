"""The mel scale, and the triangular filters that gather a spectrum's bins into its bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BREAK_HZ = 700.0
PER_NEPER = 1127.0
"""The mel scale of HTK (Young et al., "The HTK Book", 5.4): mel = 1127 ln(1 + f / 700 Hz)."""


def mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give frequencies on the mel scale."""
    return np.asarray(PER_NEPER * np.log1p(hz / BREAK_HZ))


def filters(bands: int, low_hz: float, high_hz: float, rate_hz: float, size: int) -> NDArray[np.float64]:
    """Build filters that are triangles on the mel scale, each rising from its neighbour's centre to its own and falling to the next.

    Args:
        bands: How many, their centres evenly spaced on the mel scale between ``low_hz`` and ``high_hz``.
        low_hz: Where the first one begins to rise.
        high_hz: Where the last one has fallen.
        rate_hz: Samples a second.
        size: Points of the Fourier transform.

    Returns:
        (size // 2 + 1, bands) of weights 0..1; the weights of a bin between two centres add up to 1.
    """
    low, high = mel(np.array([low_hz, high_hz])).tolist()
    edges = np.linspace(low, high, bands + 2)
    bins = mel(np.asarray(np.fft.rfftfreq(size, 1 / rate_hz), np.float64))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.clip(np.minimum(rising, falling), 0.0, None))
