"""The latest frame of a pipeline with what was made of it, for somebody who looks on; and a short trail of what it told.

A pipeline pays a reference for it, and only while somebody looks: what is drawn and encoded is drawn and encoded by who looks.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edged.domain.frame import Frame
from edged.domain.result import Event, Output, Result
from edged.sinks.hand import Hand

TRAIL = 300
"""Results that are remembered: half a minute at 10 a second."""
EVENTS = 50


@dataclass(frozen=True, slots=True)
class Sight:
    """A frame, and the result that it got."""

    frame: Frame
    result: Result


@dataclass(frozen=True, slots=True)
class Step:
    """One result of the trail. ``mono_ns`` is its frame's."""

    mono_ns: int
    output: Output | None
    reason: str


class Glance:
    """A sink. ``take`` may be called on any thread, by several who look at once.

    ``is_open`` says whether somebody may look at all, which a reload changes: until then nothing is remembered.
    """

    def __init__(self, hand: Hand, is_open: Callable[[], bool] = lambda: True) -> None:
        self._hand, self._is_open = hand, is_open
        self._usually_kept = hand.keep
        self._wanted = 0
        self._sight: Sight | None = None
        self._seen = threading.Condition()
        self.trail: deque[Step] = deque(maxlen=TRAIL)
        self.events: deque[Event] = deque(maxlen=EVENTS)

    def result(self, result: Result) -> None:
        """Remember it; with its frame, if somebody waits for one."""
        if not self._is_open():
            return
        self.trail.append(Step(result.stamp.mono_ns, result.output, result.reason))
        if not self._wanted:
            return
        frame = self._hand.in_hand
        if frame is None or frame.stamp != result.stamp:
            # It was taken before the question, or somebody else has just let go of it: the next one is held.
            self._hand.keep = True
            return
        with self._seen:
            self._sight, self._wanted = Sight(frame, result), 0
            self._seen.notify_all()
        self._hand.keep = self._usually_kept
        if not self._usually_kept:
            self._hand.in_hand = None

    def event(self, event: Event) -> None:
        """Remember it."""
        if self._is_open():
            self.events.append(event)

    def take(self, timeout_s: float) -> Sight | None:
        """Wait for the next frame and its result; None when none came in time (nothing runs, or nothing moves)."""
        with self._seen:
            before = self._sight
            self._wanted += 1
            self._hand.keep = True
            self._seen.wait_for(lambda: self._sight is not before, timeout_s)
            return self._sight if self._sight is not before else None

    @property
    def last(self) -> Sight | None:
        """What was taken last, by anybody; None when nobody looked yet."""
        return self._sight
