"""The audio front end of TensorFlow Lite Micro's keyword models.

30 ms frames every 20 ms at 16 kHz, 40 mel bands from 125 to 7500 Hz, each band's noise taken away, its gain evened out against the
noise (PCAN: Wang et al., "Trainable frontend for robust and far-field keyword spotting", 2017), and a logarithm. The constants are those of
the ``micro_speech`` example's ``audio_preprocessor``, and so are the integers that it counts in: where they lose small values the models
have learned with that loss. Only its tables of logarithms and gains are replaced by the functions themselves. Held against the original's
features, 98 % of the values lie within 1 of 256 steps, 0.17 on average and 17 at most.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edged.domain.errors import BundleError
from edged.domain.tensor import Array
from edged.pipeline import mel, wordfft
from edged.pipeline.spectral import framed

RATE_HZ = 16_000
FRAME, HOP = 480, 320
BANDS, LOW_HZ, HIGH_HZ = 40, 125.0, 7500.0
FULL_SCALE = 32_768.0
"""Samples come as -1..1, the front end counts in those of 16 bits."""
WORD_BITS = 15
"""What a frame is scaled up to before the Fourier transform, sign apart."""
WEIGHT_BITS = 12
"""Of the window's and the filters' weights."""
NOISE_BITS = 10
"""More than a band's, of its noise estimate."""
SHARE_BITS = 14
SMOOTHING = (int(0.025 * (1 << SHARE_BITS)), int(0.06 * (1 << SHARE_BITS)))
"""How much of a new frame enters the noise estimate of bands with even and odd numbers."""
MIN_SIGNAL_LEFT = int(0.05 * (1 << SHARE_BITS))
"""Of a band at least this much stays, however noisy it is."""
BAND_BITS = 3
"""A band is this many bits short of its real value: the transform divides by 2^9, the root of the weights gives back 2^6."""
GAIN_STRENGTH, GAIN_OFFSET, GAIN_BITS, MAX_GAIN = 0.95, 80.0, 21, 32_767
RATIO_BITS, GAINED_BITS = 12, 6
"""After the binary point, of signal times gain and of what becomes of it."""
KNEE = 2 << RATIO_BITS
"""Below, a ratio is squared and quartered; above, 1 is taken away: both meet in value and slope."""
LOG_STEPS = 64
SCALE = 25.6
"""What the training divided the logarithm's integers by."""


def build(length: int, channels: int) -> Callable[[Array], Array]:
    """Build the step from a window of sound, (length, 1) of -1..1 at 16 kHz, to (frames, 40) features of about 0..26.

    Each window is taken for itself: the noise estimate begins with silence, as it does when the front end starts.

    Raises:
        BundleError: The window has several channels, or is shorter than a frame.
    """
    if channels != 1 or length < FRAME:
        seen = f"cannot compute micro-features of a window of {length} samples and {channels} channels"
        message = f"{seen}, expected 1 channel and at least {FRAME} samples at {RATE_HZ} Hz"
        raise BundleError(message)
    find = bands()

    def step(window: Array) -> Array:
        found = find(window[:, 0])
        return evened(found, noise_estimates(found, np.zeros(BANDS, np.int64)))

    return step


def bands() -> Callable[[Array], Array]:
    """Build the function from samples of -1..1, (n,), to the magnitude of each band in each frame, (frames, bands) int64."""
    # Hann's window, sampled between the points.
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(FRAME) + 0.5) / FRAME)
    weights = np.rint(shape * (1 << WEIGHT_BITS)).astype(np.int64)
    filters = mel.filters(BANDS, LOW_HZ, HIGH_HZ, RATE_HZ, wordfft.SIZE)
    # Whole numbers in floating point: below 2^53 they are exact, and their matrix product is the fast one.
    filters = np.floor(filters * (1 << WEIGHT_BITS))

    def find(samples: Array) -> Array:
        words = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int64)
        frames = (framed(words, FRAME, HOP) * weights) >> WEIGHT_BITS
        peaks = np.frexp(np.abs(frames).max(axis=1).astype(np.float64))[1]
        shift = np.maximum(WORD_BITS - peaks, 0).astype(np.int64)[:, None]
        padded = np.zeros((len(frames), wordfft.SIZE), np.int64)
        padded[:, :FRAME] = frames << shift
        real, imag = wordfft.rfft(padded)
        energy = (real * real + imag * imag).astype(np.float64) @ filters
        return np.asarray(np.rint(np.sqrt(energy)).astype(np.int64) >> shift)

    return find


def noise_estimates(found: Array, before: Array) -> Array:
    """Smooth each band over time: (frames, bands) in and out, from the estimate ``before`` the first frame on, (bands,)."""
    share = np.where(np.arange(found.shape[1]) % 2 == 0, *SMOOTHING)
    estimates = np.empty_like(found)
    for index, frame in enumerate(found << NOISE_BITS):
        before = (before * ((1 << SHARE_BITS) - share) + frame * share) >> SHARE_BITS
        estimates[index] = before
    return estimates


def evened(found: Array, noise: Array) -> Array:
    """Take the noise away, even out the gain, and give the logarithm: (frames, bands) each."""
    least = (found * MIN_SIGNAL_LEFT) >> SHARE_BITS
    signal = np.maximum(least, np.maximum((found << NOISE_BITS) - noise, 0) >> NOISE_BITS)
    loudness = noise / (1 << (NOISE_BITS - BAND_BITS))
    gain = np.floor((1 << GAIN_BITS) * (loudness + GAIN_OFFSET) ** -GAIN_STRENGTH)
    ratio = (signal * np.minimum(gain, MAX_GAIN).astype(np.int64)) >> (GAIN_BITS - BAND_BITS - RATIO_BITS)
    squared = (ratio * ratio) >> (2 + 2 * RATIO_BITS - GAINED_BITS)
    lowered = (ratio >> (RATIO_BITS - GAINED_BITS)) - (1 << GAINED_BITS)
    gained = np.where(ratio < KNEE, squared, lowered) << BAND_BITS
    return np.asarray(np.rint(np.log(np.maximum(gained, 1)) * LOG_STEPS) / SCALE)
