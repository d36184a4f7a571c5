"""When samples were taken, for sources whose samples do not come one by one and on time. Pure: seconds in, seconds out.

Samples cross buffers on their way (a USB serial adapter holds them back for 16 ms, a busy box for longer) and arrive in
bursts. Dated at arrival, every burst would look like a gap to what cuts windows. So times follow the sensor's own clock,
or its rate, and are only held near the arrival: their spacing is the sensor's, their place the box's clock.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

SETTLING_S = 4.0
"""A difference to the arrival is worn off within this time: far longer than any buffer holds samples back, so that jitter
does not show, and short enough that a rate that is 6 % off stays within ``LATE_S``."""

CLOCK_LIMIT = 0.001
"""A sensor's clock is bent by at most so much: ten times what a bad crystal drifts (100 ppm)."""

RATE_LIMIT = 0.5
"""A configured rate is bent by at most so much: it may be wrong, and time must not run away from the clock."""

LATE_S = 0.25
"""So much behind the arrival is no jitter any more: samples were lost, and the time goes on from the arrival."""

LATE_STEPS = 5.0
"""The same for slow sensors, in steps: above the three steps that count as a gap."""

JUMP_S = 5.0
"""A sensor's clock that moves on this much further than the box's was set anew."""

TICK_S = 1e-6
"""The least between two samples that are dated at arrival: doubles tell microseconds apart for 280 years of uptime."""


LEAST_TOLD = 4.0
"""A sensor's clock that moves on by less, in steps of the doubles that the box's is told in (15 ns after a year), has been set back:
added to a time, its step would be lost, and the time stand still."""


class Dating(Protocol):
    """Gives times that only grow."""

    def date(self, numbers: Times, now_s: float) -> Times:
        """Date samples of which the last arrived at ``now_s`` (monotonic clock).

        Args:
            numbers: (n,) float64, n > 0. The sensor's own time in seconds, or each sample's number where it has none;
                a number that is left out stands for a sample that was lost.
            now_s: when the samples were read.

        Returns:
            (n,) float64 seconds, growing, also from call to call.
        """


class RateDating:
    """For samples that come at a known rate and carry no time; ``numbers`` count them."""

    def __init__(self, rate_hz: float) -> None:
        self._step_s = 1 / rate_hz
        self._late_s = max(LATE_S, LATE_STEPS * self._step_s)
        self._last: tuple[float, float] | None = None  # number and time of the newest sample

    def date(self, numbers: Times, now_s: float) -> Times:
        """Date by the rate; see ``Dating``."""
        if self._last is None:
            times: Times = now_s + (numbers - numbers[-1]) * self._step_s
        else:
            number, at_s = self._last
            elapsed = (numbers - number) * self._step_s
            late_s = now_s - (at_s + float(elapsed[-1]))
            is_gap = late_s > self._late_s
            times = at_s + (elapsed + late_s if is_gap else elapsed * (1 + _bent(late_s, RATE_LIMIT)))
        self._last = float(numbers[-1]), float(times[-1])
        return times

    def __repr__(self) -> str:
        """Say which rate."""
        return f"<RateDating {1 / self._step_s:g} Hz>"


class ClockDating:
    """For samples that carry the sensor's own time; ``numbers`` are its seconds, and none repeats the one before.

    A counter that begins anew after ``wraps_s`` goes on. A time that goes back, stays, or goes far ahead, means that the sensor
    started anew: a gap, and the time goes on from the arrival.
    """

    def __init__(self, wraps_s: float | None = None) -> None:
        self._wraps_s = wraps_s
        self._shown_s = 0.0  # the sensor's time of the newest sample
        self._at_s: float | None = None  # ours of it
        self._arrived_s = 0.0
        self._step_s = 0.0  # the newest step that was none of a restart

    def date(self, numbers: Times, now_s: float) -> Times:
        """Date by the sensor's clock; see ``Dating``."""
        is_first = self._at_s is None
        steps = np.diff(numbers, prepend=numbers[0] if is_first else self._shown_s)
        if self._wraps_s is not None:
            steps[steps < -self._wraps_s / 2] += self._wraps_s
        longest_s = JUMP_S if is_first else now_s - self._arrived_s + JUMP_S
        least_s = LEAST_TOLD * float(np.spacing(max(now_s, self._at_s or 0.0)))
        restarts = np.flatnonzero((steps < least_s) | (steps > longest_s))[is_first:]
        steps[restarts] = 0
        self._step_s = float(steps[steps > 0][-1]) if steps.any() else self._step_s
        start_s = now_s - float(steps.sum()) if self._at_s is None else self._at_s
        times: Times = start_s + _spread(steps, restarts, LATE_STEPS * self._step_s, now_s - start_s)
        self._shown_s, self._at_s, self._arrived_s = float(numbers[-1]), float(times[-1]), now_s
        return times

    def __repr__(self) -> str:
        """Say where the sensor's clock stands."""
        return f"<ClockDating at {self._shown_s:.3f} s>"


def _spread(steps: Times, restarts: NDArray[np.intp], gap_s: float, until_arrival_s: float) -> Times:
    """Give the time from the newest sample before to each sample. The last restart's step takes up what is missing."""
    steps[restarts] = gap_s or LATE_S
    late_s = until_arrival_s - float(steps.sum())
    if len(restarts) or late_s > JUMP_S:
        steps[restarts[-1] if len(restarts) else 0] += max(late_s, 0.0)
        return np.cumsum(steps)
    return np.cumsum(steps) * (1 + _bent(late_s, CLOCK_LIMIT))


def _bent(late_s: float, limit: float) -> float:
    """Give by which share steps grow to wear off a difference to the arrival, within a limit."""
    return min(max(late_s / SETTLING_S, -limit), limit)


class ArrivalDating:
    """For samples that come now and then: the newest is dated at arrival, the others evenly behind the one before."""

    def __init__(self) -> None:
        self._last_s: float | None = None

    def date(self, numbers: Times, now_s: float) -> Times:
        """Date by arrival; ``numbers`` count the samples. See ``Dating``."""
        last_s = now_s - TICK_S * len(numbers) if self._last_s is None else self._last_s
        end_s = max(now_s, last_s + TICK_S * len(numbers))
        times = last_s + (end_s - last_s) * np.arange(1, len(numbers) + 1) / len(numbers)
        self._last_s = float(times[-1])
        return times

    def __repr__(self) -> str:
        """Say how."""
        return "<ArrivalDating>"


class Dater:
    """Numbers and dates rows as they come. ``drops`` counts ``unordered`` samples, whose own time stands still.

    Args:
        dating: how times are found.
        has_time: whether a row's first number is the sensor's own time; otherwise it is ignored.
    """

    def __init__(self, dating: Dating, *, has_time: bool) -> None:
        self.drops: Counter[str] = Counter()
        self.samples = 0
        self._dating = dating
        self._has_time = has_time
        self._number = 0  # of the next sample, those that were lost counted
        self._newest_s = -np.inf  # the sensor's own time of the newest sample
        self._rows: list[Times] = []
        self._numbers: list[Times] = []

    def add(self, rows: Times) -> None:
        """Take the next samples, (n, 1 + channels) float64, n > 0."""
        self._rows.append(rows)
        self._numbers.append(np.arange(self._number, self._number + len(rows), dtype=np.float64))
        self._number += len(rows)

    def lose(self, samples: int = 1) -> None:
        """Leave room for samples that were lost here."""
        self._number += samples

    def dated(self, now_s: float) -> tuple[Times, Times] | None:
        """Date what was added; give times (n,) and channels (n, channels), or None when nothing is left."""
        if not self._rows:
            return None
        rows, numbers = np.concatenate(self._rows), np.concatenate(self._numbers)
        self._rows, self._numbers = [], []
        if self._has_time:
            numbers = rows[:, 0]
            moves = np.diff(numbers, prepend=self._newest_s) != 0
            if not moves.all():  # a time that stands still says nothing about when the sample was taken
                self.drops["unordered"] += int((~moves).sum())
                rows, numbers = rows[moves], numbers[moves]
            if not len(numbers):
                return None
            self._newest_s = float(numbers[-1])
        self.samples += len(rows)
        return self._dating.date(numbers, now_s), rows[:, 1:]


def dating_of(rate_hz: float | None, *, has_time: bool, wraps_s: float | None = None) -> Dating:
    """Give what dates samples: by the sensor's own time, by its rate, or at arrival."""
    if has_time:
        return ClockDating(wraps_s)
    return RateDating(rate_hz) if rate_hz else ArrivalDating()
