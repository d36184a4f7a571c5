"""The motion gate: a frame that shows what the last judged one showed needs no inference.

A coarse grid of points of one channel is held against that of the frame that was looked at last. What counts is how many points have
changed by more than the picture's own noise, so that a dark, noisy camera is as still as a bright one. A slow change adds up, since
frames are never compared with their neighbours but with what the last answer was given for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edged.domain.frame import Frame
from edged.domain.tensor import Array

STILL = "still"
"""The cause by which gated frames are counted."""
GRID_ROWS = 45
"""Every 16th pixel of every 16th row at 720p: what is smaller than that, no detector of a usual size sees either."""
GREEN = 1
MAX_NOISE = 9.0
"""Grey levels (1 sigma of the difference of two frames) that pass for noise: the median of a picture that changed everywhere is
none any more."""
SIGMA_OF_MEDIAN = 1.4826
"""From the median of absolute deviations to a normal distribution's standard deviation."""


@dataclass(frozen=True, slots=True)
class Strictness:
    """From when on a frame is no longer still: so large a ``share`` of its points differ by so much.

    A point differs by more than ``levels`` of 256, and by more than ``sigmas`` of the noise.
    """

    levels: float
    sigmas: float
    share: float


OFF = 0
STRICTNESS: tuple[Strictness, ...] = (
    Strictness(12.0, 4.0, 0.001),
    Strictness(18.0, 6.0, 0.005),
    Strictness(25.0, 8.0, 0.02),
)
"""From level 1 on: 4, 18 and 72 of the 3600 points of a 720p picture."""


class MotionGate:
    """Tells still frames from others. Owned by the pipeline's thread, but for ``strictness``, which anyone may set.

    Args:
        at_least_every_s: so long after a look the next frame is looked at, still or not; by the time of capture.
        strictness: 0 is off, 1 the most sensitive, ``len(STRICTNESS)`` the strictest.
        drop: is told each still frame's cause.
    """

    def __init__(
        self, at_least_every_s: float, strictness: int = OFF, drop: Callable[[str], None] = lambda _cause: None
    ) -> None:
        self.strictness = strictness
        self._longest_ns = int(at_least_every_s * 1e9)
        self._drop = drop
        self._seen: Array | None = None
        self._seen_ns = 0

    def __repr__(self) -> str:
        return f"<MotionGate {f'strictness {self.strictness}' if self.is_on else 'off'}>"

    @property
    def is_on(self) -> bool:
        """Whether any frame can be still."""
        return self.strictness > OFF

    def is_still(self, frame: Frame) -> bool:
        """Whether a picture, (H, W, 3) uint8 BGR, needs no look; one that is not still is the one that later ones are held against."""
        if not self.is_on:
            self._seen = None
            return False
        points = sample(frame.data)
        age_ns = frame.stamp.mono_ns - self._seen_ns
        if (
            self._seen is not None
            and self._seen.shape == points.shape
            and 0 <= age_ns < self._longest_ns
            and not differs(points, self._seen, STRICTNESS[min(self.strictness, len(STRICTNESS)) - 1])
        ):
            self._drop(STILL)
            return True
        self._seen, self._seen_ns = points, frame.stamp.mono_ns
        return False

    def forget(self) -> None:
        """Look at the next frame in any case: the last one was not judged, or another model judges now."""
        self._seen = None


def sample(picture: Array) -> Array:
    """Give a grid of about ``GRID_ROWS`` rows of points of a (H, W, 3) uint8 picture's green channel: (h, w) int16."""
    step = max(1, min(picture.shape[0], picture.shape[1]) // GRID_ROWS)
    points: Array = picture[::step, ::step, GREEN].astype(np.int16)
    return points


def differs(points: Array, seen: Array, strictness: Strictness) -> bool:
    """Whether two grids of one shape, (h, w) int16, differ by more than noise."""
    change = np.abs(points - seen).ravel()
    middle = change.size // 2
    noise = min(MAX_NOISE, SIGMA_OF_MEDIAN * float(np.partition(change, middle)[middle]))
    bound = max(strictness.levels, strictness.sigmas * noise)
    return bool(np.count_nonzero(change > bound) > strictness.share * change.size)
