"""Sensor samples, cut into windows. A window never spans a gap in the source's time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Samples, Stamp

GAP_STEPS = 3.0
"""A step this many times the usual one is a gap: one lost sample (2) is borne, as resampling would; more is not."""

HISTORY_STEPS = 64
"""The usual step is the median of this many steps before it, so that a source may change its rate."""


class Windower:
    """Cuts (n, channels) blocks into (length, channels) windows, one every ``stride`` samples.

    How the samples were grouped into blocks never changes which windows come out. ``gaps`` counts how often the
    source's time jumped (by more than ``GAP_STEPS`` times the median step, or backwards) and the window began anew.
    """

    def __init__(self, length: int, stride: int, channels: int) -> None:
        if length < 1 or stride < 1 or channels < 1:
            message = f"cannot cut windows of {length} by {channels} every {stride}, expected numbers above 0"
            raise ConfigError(message)
        self.length = length
        self.stride = stride
        self.channels = channels
        self.gaps = 0
        self.windows = 0
        self._tail: NDArray[np.float32] = np.empty((0, channels), np.float32)
        self._skip = 0  # samples still to pass over before the next window's first one; only if stride > length
        self._last_s: float | None = None
        self._steps: NDArray[np.float64] = np.empty(0)

    @property
    def shape(self) -> tuple[int, int]:
        """What its windows look like: (length, channels)."""
        return self.length, self.channels

    def push(self, block: Samples) -> list[Frame]:
        """Take the next samples and give the windows that they complete, in order.

        Returns:
            Frames of (length, channels) float32, own memory. A stamp's ``source_s`` is its last sample's; ``mono_ns``
            and ``wall_ns`` are the block's; ``index`` counts windows.

        Raises:
            ConfigError: the source has another number of channels than the model takes.
        """
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and its windows unknown
            values = np.asarray(block.values, np.float32)
        if values.ndim != 2 or values.shape[1] != self.channels:  # noqa: PLR2004 - rows and channels
            message = f"cannot cut windows from samples of shape {values.shape}, expected {self.channels} channels"
            raise ConfigError(message, remedy="name the columns that the model was made for in the source's section")
        frames: list[Frame] = []
        for run in self._runs(np.asarray(block.times_s, np.float64)):
            frames += self._cut(values[run], block.times_s[run], block.stamp)
        return frames

    def restart(self) -> None:
        """Forget unfinished windows and the usual step: the source was opened anew."""
        self._drop_tail()
        self._last_s = None
        self._steps = np.empty(0)

    def __repr__(self) -> str:
        """Say what is cut, and what was."""
        return (
            f"<Windower {self.length}x{self.channels} every {self.stride}: {self.windows} windows, {self.gaps} gaps, "
            f"{len(self._tail)} samples wait>"
        )

    def _runs(self, times_s: NDArray[np.float64]) -> Iterator[slice]:
        """Split a block where its time jumps; forget the unfinished window at each jump."""
        start = 0
        for jump in self._jumps(times_s):
            if jump > start:
                yield slice(start, jump)
            self.gaps += 1
            self._drop_tail()
            start = jump
        yield slice(start, len(times_s))

    def _jumps(self, times_s: NDArray[np.float64]) -> list[int]:
        """Give the places in the block whose step from the sample before is a gap."""
        if not len(times_s):
            return []
        first = [] if self._last_s is None else [self._last_s]
        steps = np.diff(np.concatenate((first, times_s)))
        self._last_s = float(times_s[-1])
        known = len(self._steps)
        every = np.concatenate((self._steps, steps))
        self._steps = every[-HISTORY_STEPS:]
        if not len(steps) or (steps.min() >= 0 and steps.max() <= GAP_STEPS * every.min()):
            return []  # the usual case, at the cost of two passes: no step is above three times any other
        offset = len(times_s) - len(steps)
        return [offset + i for i in range(len(steps)) if is_gap(every[: known + i], float(steps[i]))]

    def _cut(self, values: NDArray[np.float32], times_s: NDArray[np.float64], stamp: Stamp) -> list[Frame]:
        skipped = min(self._skip, len(values))
        self._skip -= skipped
        data = np.concatenate((self._tail, values[skipped:]))
        lead = len(data) - len(values)  # where the block's first sample lies in data
        frames: list[Frame] = []
        start = 0
        while start + self.length <= len(data):
            end = start + self.length
            last = Stamp(self.windows, stamp.mono_ns, stamp.wall_ns, float(times_s[end - 1 - lead]))
            frames.append(Frame(data[start:end].copy(), last))
            self.windows += 1
            start += self.stride
        self._skip += max(0, start - len(data))
        self._tail = data[start:].copy()
        return frames

    def _drop_tail(self) -> None:
        self._tail = self._tail[:0]
        self._skip = 0


def is_gap(before: NDArray[np.float64], step: float) -> bool:
    """Whether a step in a source's time, in seconds, is a gap after those ``before``: backwards, or far above the usual."""
    if step < 0:
        return True
    usual = float(np.median(before[-HISTORY_STEPS:])) if len(before) else 0.0
    return usual > 0 and step > GAP_STEPS * usual
