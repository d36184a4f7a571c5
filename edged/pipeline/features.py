"""From a sensor window to the model's tensor: feature steps, normalisation, the tensor's own numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.domain.errors import BundleError, ConfigError, FrameError
from edged.pipeline import microfeatures, spectral
from edged.pipeline.encode import encode, fitting_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.domain.bundle import WindowInput
    from edged.domain.frame import Frame
    from edged.domain.tensor import Array, TensorSpec

MAD_TO_SIGMA = 1.4826
"""Makes the median absolute deviation estimate a normal distribution's standard deviation: 1 / Phi^-1(3/4)."""


def detrend(window: Array) -> Array:
    """Subtract each channel's mean; (n, channels) in and out."""
    return np.asarray(window - window.mean(axis=0))


def standardise(window: Array) -> Array:
    """Divide each channel by its standard deviation, but for one that does not vary; (n, channels) in and out."""
    deviation = window.std(axis=0)
    return np.asarray(window / np.where(deviation > 0, deviation, 1.0))


def median_absolute_deviation(window: Array) -> Array:
    """Give each channel's median distance from its median, times 1.4826; (n, channels) in, (1, channels) out."""
    distance = np.abs(window - np.median(window, axis=0))
    return np.asarray(np.median(distance, axis=0) * MAD_TO_SIGMA)[np.newaxis]


STEPS: dict[str, Callable[[Array], Array]] = {
    "detrend": detrend,
    "standardise": standardise,
    "mad": median_absolute_deviation,
    "spectrum": spectral.spectrum,
    "power-spectrum": spectral.power_spectrum,
    "envelope": spectral.envelope,
}


def build(window: WindowInput, tensor: TensorSpec, layout: str) -> WindowPath:
    """Compile the way from a window to ``tensor``.

    Raises:
        BundleError: The file's tensor does not take what the bundle describes.
    """
    return WindowPath(window, tensor, layout)


class WindowPath:
    """A window's way in two parts: ``features`` that say how it is, and the ``tensor`` that says how unusual that is."""

    def __init__(self, window: WindowInput, tensor: TensorSpec, layout: str) -> None:
        for name in sorted({"mad", "spectral-bands"} & set(window.steps[:-1])):
            steps = ", ".join(window.steps)
            left = "one number a channel" if name == "mad" else "no channels"
            message = f"cannot apply steps {steps}: {name} leaves {left}, expected it to be the last step"
            raise BundleError(message)
        self._steps, (rows, columns) = _compiled(window)
        self._planar = layout == "nchw"
        core = (columns, rows) if self._planar else (rows, columns)
        self._shape = fitting_shape(tensor, _shapes(core), "a window")
        self._expected = (window.length, window.channels)
        self._mean = _per_channel(window.mean, columns, "mean")
        self._std = _per_channel(window.std, columns, "std")
        if not self._std.all():
            message = "cannot divide by std 0, expected numbers other than 0"
            raise BundleError(message)
        self._clip = window.clip
        self._tensor = tensor

    def __call__(self, frame: Frame) -> tuple[Array]:
        """Give the tensor for one window, (length, channels) float32. Raises what ``features`` raises."""
        return self.tensor(self.features(frame))

    def features(self, frame: Frame) -> Array:
        """Give what the steps make of one window, (rows, columns) float64.

        Raises:
            ConfigError: The source delivers another number of channels.
            FrameError: The window holds numbers that are none, or none that float32 holds (the sensor, not the model, failed).
        """
        values = frame.data
        if values.shape != self._expected:
            message = f"cannot prepare a window of shape {values.shape} (samples, channels), expected {self._expected}"
            raise ConfigError(message, remedy="name the source's columns as the model takes them")
        if not np.isfinite(values).all():
            message = (
                f"cannot prepare window {frame.stamp.index}: some of its values are no numbers, expected finite ones"
            )
            raise FrameError(message, remedy="look at the sensor and at the source's scale", code="samples-invalid")
        # In double precision no finite float32 sample overflows on its way through the steps.
        values = values.astype(np.float64)
        for step in self._steps:
            values = step(values)
        return values

    def tensor(self, values: Array) -> tuple[Array]:
        """Normalise features and write them in the tensor's own numbers."""
        values = (values - self._mean) / self._std
        if self._clip is not None:
            values = np.clip(values, -self._clip, self._clip)
        if self._planar:
            values = values.T
        return (np.ascontiguousarray(encode(values.reshape(self._shape), self._tensor)),)


def _compiled(window: WindowInput) -> tuple[list[Callable[[Array], Array]], tuple[int, int]]:
    """Build the steps, and find out which shape they make of a window."""
    steps = []
    shape = (window.length, window.channels)
    for name in window.steps:
        step = _step(name, window, *shape)
        rows, columns = step(np.zeros(shape)).shape
        shape = (rows, columns)
        steps.append(step)
    return steps, shape


def _step(name: str, window: WindowInput, length: int, channels: int) -> Callable[[Array], Array]:
    if name == "micro-features":
        return microfeatures.build(length, channels)
    if window.bands is not None and name == "spectral-bands":
        return spectral.bands(window.bands, length)
    if window.frames is not None and name == "log-mel":
        return spectral.log_mel(window.frames, length, channels)
    return STEPS[name]


def _per_channel(values: tuple[float, ...], channels: int, name: str) -> Array:
    if len(values) not in {1, channels}:
        message = f"cannot use {name} of {len(values)} numbers, expected 1 or {channels}"
        raise BundleError(message)
    return np.asarray(values, np.float64)


def _shapes(core: tuple[int, int]) -> list[tuple[int, ...]]:
    """List the tensor shapes that hold the window, flat or not, with and without a batch axis; the usual ones first."""
    flat = core[0] * core[1]
    return [(1, flat), (1, *core), (flat,), core, (1, *core, 1), (1, 1, *core)]
