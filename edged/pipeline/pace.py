"""How fast a source may go: at most so many frames a second, or at the speed that it was recorded with."""

from __future__ import annotations

NS_PER_S = 1_000_000_000


class RateLimit:
    """Lets at most ``fps`` frames a second through, on the source's own time.

    Frames are kept nearest to a grid of ``1 / fps``, not counted from the last one that passed: at 20 frames a second
    and a limit of 15 the latter would give 10.
    """

    SLACK = 0.1
    """Of a period: a frame this little before its time still passes, since stamps jitter by a millisecond or two."""

    def __init__(self, fps: float | None) -> None:
        self._period_s = 1 / fps if fps else 0.0
        self._due_s: float | None = None

    def passes(self, source_s: float) -> bool:
        """Whether a frame of this time may pass."""
        if not self._period_s:
            return True
        if self._due_s is None or source_s < self._due_s - 2 * self._period_s:  # the first, or the time went back
            self._due_s = source_s
        if source_s < self._due_s - self.SLACK * self._period_s:
            return False
        self._due_s += self._period_s
        if self._due_s <= source_s:  # after a pause: begin the grid here, never catch up in a burst
            self._due_s = source_s + self._period_s
        return True


class Recorded:
    """Says when a recorded item is due on the monotonic clock, so that it plays at its own speed."""

    LATE_NS = NS_PER_S
    """Beyond this the recording goes on from now (the machine slept, the reader was slow) and does not rush after."""
    RUSH = 2
    """What is late by less catches up at so many times its speed: all at once, the newest item would push the others out."""

    def __init__(self) -> None:
        self._offset_ns: int | None = None
        self._item_ns: int | None = None
        self._asked_ns = self._earliest_ns = 0

    def due_ns(self, source_s: float, now_ns: int) -> int:
        """Give the monotonic time at which an item of this source time shall be handed out; asked for each until it is."""
        source_ns = int(source_s * NS_PER_S)
        if self._offset_ns is None or now_ns - (source_ns + self._offset_ns) > self.LATE_NS:
            self._offset_ns = now_ns - source_ns
        if self._item_ns is not None and source_ns != self._item_ns:
            # The one before was handed out when it was asked for last.
            self._earliest_ns = self._asked_ns + max(0, source_ns - self._item_ns) // self.RUSH
        self._item_ns, self._asked_ns = source_ns, now_ns
        return max(source_ns + self._offset_ns, self._earliest_ns)
