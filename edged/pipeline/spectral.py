"""Feature steps that look at frequencies: spectrum, envelope, log-mel. Each takes and gives (rows, channels) float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from edged.domain.errors import BundleError
from edged.pipeline import mel

if TYPE_CHECKING:
    from edged.domain.bundle import Bands, Frames
    from edged.domain.tensor import Array

QUIET = 1e-6
"""What is below this power in a band counts as this: the logarithm of silence has to be a number. -60 dB of a power of 1."""

UNFELT = 1e-12
"""What is below this power counts as this in ``bands``: with accelerations in g a millionth of one, which no sensor feels."""


def hann(length: int) -> Array:
    """Give the periodic Hann window, (length,): 0.5 - 0.5 cos(2 pi n / length)."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))


def spectrum(window: Array) -> Array:
    """Give each channel's amplitude at every frequency, (n // 2 + 1, channels), after a Hann window.

    Scaled so that a sine of amplitude 1 with a whole number of periods in the window gives 1 at its frequency. Row k is k times
    the sample rate divided by n. The window widens a line by its two neighbours; that is the price for lines that fall between rows.
    """
    weights = hann(len(window))[:, None] if len(window) > 1 else np.ones((1, 1))
    amplitude = np.abs(np.fft.rfft(window * weights, axis=0)) * (2.0 / weights.sum())
    # What has no mirror image among the negative frequencies is not halved between two.
    amplitude[0] /= 2
    if len(window) % 2 == 0:
        amplitude[-1] /= 2
    return np.asarray(amplitude)


def power_spectrum(window: Array) -> Array:
    """Give the squares of ``spectrum``."""
    return np.asarray(spectrum(window) ** 2)


def envelope(window: Array) -> Array:
    """Give each channel's envelope, (n, channels): the magnitude of its analytic signal.

    The analytic signal has the negative frequencies taken away and the positive ones doubled (Marple, "Computing the discrete-time
    analytic signal via FFT", 1999). Detrend first: a constant shifts the envelope.
    """
    length = len(window)
    doubled = np.zeros((length, 1))
    doubled[0] = 1.0
    doubled[1 : (length + 1) // 2] = 2.0
    if length % 2 == 0:
        doubled[length // 2] = 1.0
    return np.asarray(np.abs(np.fft.ifft(np.fft.fft(window, axis=0) * doubled, axis=0)))


def bands(wanted: Bands, length: int) -> Callable[[Array], Array]:
    """Build the step from a window, (length, channels), to one row of logarithms: how strong, at which frequencies, and struck how often.

    For each channel the powers in bands of its spectrum, in bands of its envelope's spectrum, and its mean square. The envelope's
    spectrum is where a bearing's fault frequencies show: each strike rings at the structure's own frequency, and only the rate of the
    strikes tells what is damaged (Randall and Antoni, "Rolling element bearing diagnostics: a tutorial", Mechanical Systems and Signal
    Processing 25, 2011, section 4). Logarithms, since machines differ by factors.

    Raises:
        BundleError: The window has fewer frequencies than bands.
    """
    rows = length // 2
    if max(wanted.spectrum, wanted.envelope) > rows:
        seen = f"cannot gather {max(wanted.spectrum, wanted.envelope)} bands from a window of {length} samples"
        message = f"{seen}, expected at most {rows}, as many as it has frequencies above 0"
        raise BundleError(message)

    def step(window: Array) -> Array:
        centred = window - window.mean(axis=0)
        struck = envelope(centred)
        parts = [
            _gathered(power_spectrum(centred), wanted.spectrum),
            _gathered(power_spectrum(struck - struck.mean(axis=0)), wanted.envelope),
            np.square(centred).mean(axis=0)[np.newaxis],
        ]
        return np.asarray(np.log(np.maximum(np.concatenate(parts), UNFELT)).T.reshape(1, -1))

    return step


def _gathered(power: Array, count: int) -> Array:
    """Sum (rows, channels) without the first row into ``count`` bands, as equal in width as whole rows allow."""
    edges = np.linspace(1, len(power), count + 1).round().astype(int)
    return np.add.reduceat(power, edges[:-1], axis=0)


def framed(samples: Array, length: int, hop: int) -> Array:
    """Cut samples, (n,), into frames, (1 + (n - length) // hop, length), one every ``hop``; a view where that is possible."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def log_mel(frames: Frames, length: int, channels: int) -> Callable[[Array], Array]:
    """Build the step from a window of sound to the logarithm of its power in mel bands.

    A periodic Hann window on each frame, its power spectrum on the next power of two of points, triangles on the mel scale, the natural
    logarithm. That is what ``tf.signal`` computes with ``stft`` and ``linear_to_mel_weight_matrix``. librosa's default differs (Slaney's
    scale, areas of 1, decibels), and so does the front end of TensorFlow Lite Micro (see ``microfeatures``).

    Raises:
        BundleError: The window has several channels, or is shorter than a frame.
    """
    if channels != 1 or length < frames.length:
        seen = f"cannot compute log-mel of a window of {length} samples and {channels} channels"
        message = f"{seen}, expected 1 channel and at least {frames.length} samples, a frame's"
        raise BundleError(message)
    size = 1 << (frames.length - 1).bit_length()
    weights = hann(frames.length)
    filters = mel.filters(frames.bands, frames.low_hz, frames.high_hz, frames.rate_hz, size)

    def step(window: Array) -> Array:
        cut = framed(window[:, 0], frames.length, frames.hop)
        power = np.abs(np.fft.rfft(cut * weights, size, axis=1)) ** 2
        return np.asarray(np.log(np.maximum(power @ filters, QUIET)))

    return step
