"""When the next frame is due, of frames that come at regular times. Pure: the caller brings the time."""

from __future__ import annotations

SAME = 0.1
"""Intervals that differ by no more than this part of each other are a rhythm."""
SHARE = 0.125
"""Of an interval: so long before and after its time a frame is waited for at most, whoever waits keeps the rest."""


class Cadence:
    """What came at which interval. Nothing is expected where the last two differ, as of several sources in turns."""

    def __init__(self) -> None:
        self._last_s = self._interval_s = 0.0
        self._is_regular = False

    def came(self, now_s: float) -> None:
        """Take note that one came."""
        interval_s, before_s = now_s - self._last_s, self._interval_s
        self._is_regular = abs(interval_s - before_s) <= SAME * interval_s
        self._last_s, self._interval_s = now_s, interval_s

    def wait_s(self, now_s: float, lead_s: float) -> float:
        """Give how long to wait for one that is due within ``lead_s`` seconds, or a little late; 0 when none is."""
        margin_s = SHARE * self._interval_s
        due_s = self._last_s + self._interval_s
        if not self._is_regular or not due_s - min(lead_s, margin_s) < now_s < due_s + margin_s / 2:
            return 0.0
        return due_s + margin_s / 2 - now_s
