"""Sound as numbers: PCM bytes to float32 between -1 and 1. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decoded(data: bytes, width: int, channels: int) -> NDArray[np.float32]:
    """Give (frames, channels) float32 in -1..1 of little-endian PCM; half a frame at the end is left out.

    Args:
        data: samples with their channels side by side.
        width: bytes a number: 1 (unsigned, as in WAVE files), 2, 3 or 4 (signed).
        channels: how many lie side by side.
    """
    whole = len(data) // (width * channels) * channels
    if width == 1:
        numbers = np.frombuffer(data, np.uint8, whole).astype(np.float32) - 128
    elif width == 3:  # noqa: PLR2004 - bytes: NumPy has no 24-bit type, so they become the upper ones of 32
        wide = np.zeros((whole, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8, whole * 3).reshape(-1, 3)
        numbers, width = wide.view("<i4").ravel().astype(np.float32), 4
    else:
        numbers = np.frombuffer(data, f"<i{width}", whole).astype(np.float32)
    full = np.float32(2 ** (8 * width - 1))
    sound: NDArray[np.float32] = (numbers / full).reshape(-1, channels)
    return sound
