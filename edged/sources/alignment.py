"""Samples of several sensors, each at its own rate and with its own delay, brought to common instants. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Values = NDArray[np.float32]
Method = Literal["nearest", "linear"]
Missing = Literal["gap", "nan"]

MOST_INSTANTS = 65_536
"""Instants given at once: after a pause beyond this the time goes on from the newest."""


class Aligner:
    """Gives one row for each instant of a common rate, all sensors' channels side by side.

    An instant is settled when every sensor has a sample at or behind it, or when it lies ``max_wait_s`` in the past. A
    sensor is missing at an instant when its two samples around it are further apart than ``max_wait_s`` (``linear``), or
    none is that near (``nearest``).

    Args:
        widths: channels of each sensor.
        rate_hz: instants a second.
        method: how a value between two samples is found.
        max_wait_s: how long is waited for a sensor that is late.
        missing: ``gap`` leaves out an instant at which a sensor is missing; ``nan`` gives NaN in its channels, and
            leaves out only an instant at which all are missing.
    """

    def __init__(
        self, widths: Sequence[int], rate_hz: float, *, method: Method, max_wait_s: float, missing: Missing
    ) -> None:
        self.left_out = 0
        self._rate_hz = rate_hz
        self._is_linear = method == "linear"
        self._max_wait_s = max_wait_s
        self._with_nan = missing == "nan"
        self._times: list[Times] = [np.empty(0) for _ in widths]
        self._values: list[Values] = [np.empty((0, width), np.float32) for width in widths]
        self._next: int | None = None  # the number of the next instant

    def push(self, sensor: int, times_s: Times, values: Values) -> None:
        """Take samples of a sensor: (n,) seconds, growing, and (n, channels). What is not behind its newest is left out."""
        known = self._times[sensor]
        if len(known):
            later = times_s > known[-1]
            times_s, values = times_s[later], values[later]
        if not len(times_s):
            return
        self._times[sensor] = np.concatenate((known, times_s))
        self._values[sensor] = np.concatenate((self._values[sensor], values))
        if self._next is None:
            self._next = math.ceil(float(times_s[0]) * self._rate_hz)

    def take(self, now_s: float) -> tuple[Times, Values] | None:
        """Give the instants that are settled by now: (n,) seconds and (n, all channels) float32, n > 0, or None."""
        if self._next is None:
            return None
        newest = [float(times[-1]) if len(times) else -math.inf for times in self._times]
        settled_s = max(min(newest), min(now_s - self._max_wait_s, max(newest)))
        end = math.floor(settled_s * self._rate_hz) + 1
        first, self._next = max(self._next, end - MOST_INSTANTS), max(self._next, end)
        if end <= first:
            return None
        instants = np.arange(first, end) / self._rate_hz
        parts = [self._at(instants, times, values) for times, values in zip(self._times, self._values, strict=True)]
        self._forget(self._next / self._rate_hz - self._max_wait_s)
        is_there = np.stack([there for _, there in parts])
        kept = is_there.any(0) if self._with_nan else is_there.all(0)
        self.left_out += int((~kept).sum())
        if not kept.any():
            return None
        return instants[kept], np.concatenate([values for values, _ in parts], 1)[kept]

    def __repr__(self) -> str:
        """Say how much waits."""
        return (
            f"<Aligner {self._rate_hz:g} Hz of {len(self._times)} sensors: {sum(map(len, self._times))} samples wait>"
        )

    def _at(self, instants: Times, times: Times, values: Values) -> tuple[Values, NDArray[np.bool_]]:
        """Give a sensor's values at the instants, NaN where it is missing, and where it is not."""
        found = np.full((len(instants), values.shape[1]), np.nan, np.float32)
        if not len(times):
            return found, np.zeros(len(instants), bool)
        after = np.searchsorted(times, instants)
        right = np.minimum(after, len(times) - 1)
        left = np.where(times[right] == instants, right, np.maximum(after - 1, 0))
        to_left, to_right = instants - times[left], times[right] - instants
        if self._is_linear:
            is_there = (to_left >= 0) & (to_right >= 0) & (to_left + to_right <= self._max_wait_s)
            share = np.divide(to_left, to_left + to_right, out=np.zeros(len(instants)), where=to_left + to_right > 0)
            between = values[left] + (values[right] - values[left]) * share[:, None].astype(np.float32)
        else:
            is_right = np.abs(to_right) <= np.abs(to_left)
            is_there = np.minimum(np.abs(to_left), np.abs(to_right)) <= self._max_wait_s
            between = np.where(is_right[:, None], values[right], values[left])
        found[is_there] = between[is_there]
        return found, is_there

    def _forget(self, before_s: float) -> None:
        """Drop samples that no later instant needs: all but the newest one of those before a time."""
        for sensor, times in enumerate(self._times):
            start = max(0, int(np.searchsorted(times, before_s)) - 1)
            self._times[sensor] = times[start:]
            self._values[sensor] = self._values[sensor][start:]
