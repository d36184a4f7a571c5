"""A mailbox as a loop sees it: what grew too old on the way is dropped there, and the frame in hand can be looked at."""

from __future__ import annotations

from edged.domain.frame import Frame
from edged.domain.ports import Clock
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.pace import NS_PER_S


class Inlet:
    """Judges a frame's age when it is taken, which is when the work on it begins.

    A frame is never too old because its pipeline is slow: an idle pipeline takes the next one at once.

    Args:
        mailbox: where frames come from; counts what is too old in its drops, as ``stale``.
        clock: what their age is judged by.
        max_age_s: older frames are not inferred on; None takes every one.
        keep: hold on to the frame that was taken last, for ``in_hand``.
    """

    def __init__(self, mailbox: Mailbox, clock: Clock, *, max_age_s: float | None = None, keep: bool = False) -> None:
        self._mailbox = mailbox
        self._now_ns = clock.monotonic_ns
        self._max_age_ns = None if max_age_s is None else int(max_age_s * NS_PER_S)
        self.keep = keep
        self.in_hand: Frame | None = None

    @property
    def ended(self) -> bool:
        """Whether there will never be another frame."""
        return self._mailbox.ended

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame; None when none came in time, it was too old, or there are no more."""
        frame = self._mailbox.take(timeout_s)
        if frame is None:
            return None
        if self._max_age_ns is not None and self._now_ns() - frame.stamp.mono_ns > self._max_age_ns:
            self._mailbox.drop("stale")
            return None
        if self.keep:
            self.in_hand = frame
        return frame

    def __repr__(self) -> str:
        """Say what it stands before."""
        limit = "any age" if self._max_age_ns is None else f"up to {self._max_age_ns / NS_PER_S:g} s old"
        return f"<Inlet {limit}, {self._mailbox!r}>"
