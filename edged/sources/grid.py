"""Samples of a slow sensor, which come when they like, brought to evenly spaced instants. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edged.domain.errors import ConfigError

Times = NDArray[np.float64]
Values = NDArray[np.float32]
Row = NDArray[np.float64]

MOST_STEPS = 10_000
"""Instants that may wait for late samples, and that may be bridged at once: 80 kB a channel."""

SET_BACK = 64
"""So many samples in a row that are too late are no stragglers: the sensor's clock was set back, or ran far ahead before."""


class Grid:
    """Gives one row for each multiple of a step: the mean of the samples of the step that ends there.

    An instant is settled when a sample of ``late_s`` behind it or later is there; samples may come in any order until then. Instants
    without samples lie on the straight line between their neighbours where at most ``bridge_s`` lack samples. A longer time
    without is left out: what cuts windows sees a gap, so that no window spans it.

    Args:
        step_s: from one instant to the next.
        late_s: how long is waited, in the samples' own time, for samples that are out of order.
        bridge_s: the longest time without samples that is bridged.

    Raises:
        ConfigError: there is no step, or one of the others is longer than ``MOST_STEPS`` of it.
    """

    def __init__(self, step_s: float, late_s: float = 0.0, bridge_s: float = 0.0) -> None:
        longest_s = MOST_STEPS * step_s
        if step_s <= 0 or not 0 <= late_s <= longest_s or not 0 <= bridge_s <= longest_s:
            seen = f"step_s {step_s:g}, late_s {late_s:g}, bridge_s {bridge_s:g}"
            message = (
                f"cannot lay samples on a grid of {seen}, expected a step, and up to {MOST_STEPS} steps of the others"
            )
            raise ConfigError(message)
        self.late = 0
        self.bridged = 0
        self._step_s, self._late_s = step_s, late_s
        self._most_empty = int(bridge_s / step_s + _ROUNDING)
        self._waits: dict[int, tuple[Row, int]] = {}  # the sum and the number of its samples, by instant
        self._newest_s = -np.inf
        self._settled: int | None = None  # the newest instant that was given
        self._row: Row = np.empty(0)
        self._late_now = 0

    def push(self, times_s: Times, values: Values) -> tuple[Times, Values] | None:
        """Take samples, (n,) seconds and (n, channels) in any order; give the instants that they settle.

        Returns:
            (m,) seconds, growing, and (m, channels) float32, m > 0; or None. Times grow from call to call, unless the clock was set back.
        """
        rows: list[tuple[int, Row]] = []
        with np.errstate(invalid="ignore"):  # between infinite values lies none; the window will be unknown
            for at_s, row in zip(times_s.tolist(), np.asarray(values, np.float64), strict=True):
                rows += self._take(at_s, row)
        return self._block(rows)

    def finish(self) -> tuple[Times, Values] | None:
        """Give what waits: no more samples will come."""
        with np.errstate(invalid="ignore"):
            return self._block(self._settle_all())

    def __repr__(self) -> str:
        """Say how it lies, and what waits."""
        return f"<Grid every {self._step_s:g} s: {len(self._waits)} instants wait, {self.bridged} bridged, {self.late} samples late>"

    def _take(self, at_s: float, row: Row) -> list[tuple[int, Row]]:
        instant = int(np.ceil(at_s / self._step_s - _ROUNDING))
        if self._settled is not None and instant <= self._settled:
            self._late_now += 1
            if self._late_now < SET_BACK:
                self.late += 1
                return []
            before = self._settle_all()
            self._settled, self._newest_s = None, -np.inf
            return before + self._take(at_s, row)
        self._late_now = 0
        total, count = self._waits.get(instant, (np.zeros_like(row), 0))
        self._waits[instant] = total + row, count + 1
        if at_s <= self._newest_s:
            return []
        self._newest_s = at_s
        return self._settle_until(int(np.floor((at_s - self._late_s) / self._step_s + _ROUNDING)))

    def _settle_all(self) -> list[tuple[int, Row]]:
        return self._settle_until(max(self._waits, default=0))

    def _settle_until(self, last: int) -> list[tuple[int, Row]]:
        rows: list[tuple[int, Row]] = []
        for instant in sorted(one for one in self._waits if one <= last):
            total, count = self._waits.pop(instant)
            mean = total / count
            if self._settled is not None:
                rows += self._between(self._settled, self._row, instant, mean)
            rows.append((instant, mean))
            self._settled, self._row = instant, mean
        return rows

    def _between(self, left: int, before: Row, right: int, after: Row) -> list[tuple[int, Row]]:
        empty = right - left - 1
        if empty > self._most_empty:
            return []
        self.bridged += empty
        shares = [(one - left) / (right - left) for one in range(left + 1, right)]
        return [(left + 1 + i, before + (after - before) * share) for i, share in enumerate(shares)]

    def _block(self, rows: list[tuple[int, Row]]) -> tuple[Times, Values] | None:
        if not rows:
            return None
        times_s = np.array([instant for instant, _ in rows], np.float64) * self._step_s
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and its windows unknown
            return times_s, np.stack([row for _, row in rows]).astype(np.float32)


_ROUNDING = 1e-6
"""Of a step: a sample on an instant belongs to it, whatever the last bits of its time say."""
