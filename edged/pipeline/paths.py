"""What followed objects do over time: which crossed a line, and which have stayed long enough.

Both look at the numbers that a tracker gave; a detection without one is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from edged.domain.result import Detection

Point = tuple[float, float]
Direction = Literal["left", "right", "both"]

FORGET_S = 10.0
"""An object that was not seen for this long is none that is remembered: the tracker has given up on it long before."""


@dataclass(slots=True)
class Crossing:
    """Finds who crosses the line from its first point to its second one.

    ``direction`` is where to, as seen by who looks from the first point to the second on the picture: ``right``, ``left`` or ``both``.
    An object is where the centre of its box is; it crosses when the way from where it was last to where it is now meets the line.
    """

    line: tuple[Point, Point]
    direction: Direction = "both"
    _last: dict[int, tuple[float, Point]] = field(default_factory=dict, repr=False)

    def step(self, items: Sequence[Detection], now_s: float) -> list[Detection]:
        """Take the newest detections; give those that have just crossed."""
        crossed = []
        for item in items:
            if item.track is None:
                continue
            at = _centre(item)
            before = self._last.get(item.track)
            self._last[item.track] = (now_s, at)
            if before is not None and before[0] <= now_s and self._crosses(before[1], at):
                crossed.append(item)
        self._last = {track: seen for track, seen in self._last.items() if 0 <= now_s - seen[0] <= FORGET_S}
        return crossed

    def _crosses(self, before: Point, now: Point) -> bool:
        start, end = self.line
        side_before, side_now = _side(start, end, before), _side(start, end, now)
        if (side_before > 0) == (side_now > 0) or (_side(before, now, start) > 0) == (_side(before, now, end) > 0):
            return False
        return self.direction == "both" or (self.direction == "right") == (side_now > 0)


@dataclass(slots=True)
class Dwell:
    """Finds who has been among the detections it is given for at least ``dwell_s``; a shorter absence than ``gap_s`` is none."""

    dwell_s: float
    gap_s: float = 1.0
    _seen: dict[int, tuple[float, float]] = field(default_factory=dict, repr=False)

    def step(self, items: Sequence[Detection], now_s: float) -> list[Detection]:
        """Take the newest detections; give those that have stayed."""
        stayed = []
        self._seen = {track: seen for track, seen in self._seen.items() if 0 <= now_s - seen[1] <= self.gap_s}
        for item in items:
            if item.track is None:
                continue
            first_s = self._seen.get(item.track, (now_s, now_s))[0]
            self._seen[item.track] = (first_s, now_s)
            if now_s - first_s >= self.dwell_s:
                stayed.append(item)
        return stayed


def _centre(item: Detection) -> Point:
    x1, y1, x2, y2 = item.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def _side(start: Point, end: Point, point: Point) -> float:
    """Give on which side of a line a point lies: above 0 is the right one on a picture, whose y grows downwards."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
