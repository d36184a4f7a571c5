"""When a stream's pictures were captured, told from their own times and from how they arrived."""

from __future__ import annotations

JUMP_S = 5.0
"""Pictures further than this from the time that passed mean that the stream's clock was set anew."""


class Arrivals:
    """Dates pictures whose own clock lies anywhere.

    A picture that had to be waited for is fresh, if the one before it had to be waited for too: nothing lay between the
    camera and here. One that was already there, or came in a burst behind a gap, is older than it looks; how much, its
    own time says. So what piles up while nobody reads, or while the network stands still, is never taken for new. What
    a picture needs from the camera to here at best cannot be known, and is not counted.
    """

    WAITED = 0.5
    """Of the spacing of two pictures. A backlog is read at ten times its speed and more, with next to no wait."""

    WAIT_S = 0.001
    """Less is what taking a picture costs that is already there."""

    GAP_S = 0.25
    """So much later than its own time says a picture ends a gap. Behind a first gap there may be more of its age."""

    LEAK = 0.001
    """A camera's clock drifts by seconds a day. On a box too slow to ever wait, this outruns it, and adds 10 ms to 10 s."""

    SETTLE_S = 2.0
    """Without a wait in so long, the box is too slow for the stream; what comes is then taken for as fresh as it gets."""

    def __init__(self) -> None:
        self._last: tuple[float | None, float] | None = None
        self._has_waited = self._ended_gap = False
        self._began_s = 0.0
        self._delay_s: float | None = None  # from a picture's own clock to the box's

    def captured_s(self, shown_s: float | None, now_s: float, waited_s: float) -> float | None:
        """Give the time of capture on the box's clock, at most ``now_s``; None while it cannot be told yet.

        Args:
            shown_s: the picture's own time, or None.
            now_s: when it was there.
            waited_s: how much of the time since the picture before it was spent waiting for it.
        """
        passed_s = now_s - self._last[1] if self._last else 0.0
        spacing_s = self._spacing_s(shown_s, now_s)
        ends_gap = shown_s is not None and passed_s - spacing_s > self.GAP_S
        waited = waited_s >= max(self.WAIT_S, self.WAITED * spacing_s)
        both = waited and self._has_waited and (self._ended_gap or not ends_gap)
        self._has_waited, self._ended_gap = waited, ends_gap
        if shown_s is None:
            shown_s = now_s  # without a time of its own, all that can be told is whether it lay in wait at the start
        late_s = now_s - shown_s
        if both or (self._delay_s is None and now_s - self._began_s >= self.SETTLE_S):
            self._delay_s = late_s
        elif self._delay_s is not None:
            self._delay_s = min(self._delay_s + self.LEAK * spacing_s, late_s)
        return None if self._delay_s is None else shown_s + self._delay_s

    def _spacing_s(self, shown_s: float | None, now_s: float) -> float:
        last, self._last = self._last, (shown_s, now_s)
        if last is not None and shown_s is None and last[0] is None:
            return 0.0
        if last is not None and shown_s is not None and last[0] is not None:
            spacing_s = shown_s - last[0]
            if 0 <= spacing_s <= now_s - last[1] + JUMP_S:
                return spacing_s
        # The first picture, or a clock that was set anew: whether more lie behind it is yet to be seen.
        self._began_s, self._delay_s, self._has_waited = now_s, None, False
        return 0.0


class Spacing:
    """Gives times of their own to the pictures of a stream that tells none: they are taken to be evenly spaced."""

    GAIN = 0.1
    LONGEST_S = 1.0

    def __init__(self) -> None:
        self._spacing_s: float | None = None
        self._shown_s = 0.0
        self._last_s: float | None = None

    def shown_s(self, count: int, now_s: float, waited_s: float) -> float:
        """Give the time of the last of ``count`` pictures that were there at ``now_s``, after a wait of ``waited_s``."""
        since_s = 0.0 if self._last_s is None else min(now_s - self._last_s, self.LONGEST_S)
        self._last_s = now_s
        if count == 1 and since_s and waited_s >= Arrivals.WAITED * since_s:  # only what was waited for tells the pace
            self._spacing_s = (
                since_s if self._spacing_s is None else self._spacing_s + self.GAIN * (since_s - self._spacing_s)
            )
        self._shown_s += count * (self._spacing_s or since_s)
        return self._shown_s


class SourceTime:
    """Turns presentation times into source time: their spacing is the camera's, their place the box's clock."""

    GAIN = 0.01
    """A camera's clock drifts by seconds a day; a hundredth of the difference a picture follows it, and no jitter."""

    SNAP_S = 0.5
    """More than this is no drift: the camera stood still, or was opened anew."""

    def __init__(self) -> None:
        self._shift_s: float | None = None
        self._last_s = -1.0

    def at(self, shown_s: float | None, captured_s: float) -> float:
        """Give the source time of a picture; always later than the one before."""
        if shown_s is None:
            source_s = captured_s
        else:
            if self._shift_s is None or abs(shown_s + self._shift_s - captured_s) > self.SNAP_S:
                self._shift_s = captured_s - shown_s
            self._shift_s += self.GAIN * (captured_s - shown_s - self._shift_s)
            source_s = shown_s + self._shift_s
        self._last_s = max(source_s, self._last_s + 0.001)
        return self._last_s
