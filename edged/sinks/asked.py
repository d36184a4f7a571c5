"""A picture of the next frame, when somebody asks for one."""

from __future__ import annotations

from collections.abc import Callable

from edged.domain.ports import Sink
from edged.domain.result import Event, Result
from edged.sinks.hand import Hand

COMMANDED = ""
"""The rule that such a picture is said to be of: none."""


class SnapshotOnCommand:
    """A sink that does nothing until ``ask``. ``taker`` builds what takes the picture (of the rule ``COMMANDED``), when first asked.

    Frames are held on to only while one is asked for: a frame of 1080p is 6 MB that a box has better uses for.
    """

    def __init__(self, hand: Hand, taker: Callable[[], Sink]) -> None:
        self._hand = hand
        self._build = taker
        self._taker: Sink | None = None
        self._kept_before = hand.keep
        self._is_asked = False

    def ask(self) -> None:
        """Take a picture of the next frame. Safe on any thread; two questions before the next frame get one picture."""
        self._hand.keep = True
        self._is_asked = True

    def result(self, result: Result) -> None:
        """Take the picture if one is asked for and this result is of the frame in hand."""
        if not self._is_asked:
            return
        frame = self._hand.in_hand
        if frame is None or frame.stamp != result.stamp:
            # It was taken before the question, or somebody else has just let go of it: the next one is held.
            self._hand.keep = True
            return
        self._is_asked = False
        taker = self._taker = self._taker or self._build()
        taker.result(result)
        taker.event(Event(result.pipeline, COMMANDED, "start", result.stamp, result.stamp, result))
        self._hand.keep = self._kept_before
        if not self._kept_before:
            self._hand.in_hand = None

    def event(self, _event: Event) -> None:
        """Leave events to others."""
