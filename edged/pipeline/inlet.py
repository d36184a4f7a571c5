"""A mailbox as a loop sees it: what grew too old on the way is dropped there, and the frame in hand can be looked at."""

from __future__ import annotations

from collections.abc import Callable

from edged.domain.frame import Frame
from edged.domain.ports import Clock
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.pace import NS_PER_S, RateLimit

SLOWED = "slowed"
"""The cause by which frames are counted that the pipeline was told to leave out."""
OUTDATED = "model-changed"
"""The cause by which windows are counted that were cut for the model before."""


class Inlet:
    """Judges a frame's age when it is taken, which is when the work on it begins.

    A frame is never too old because its pipeline is slow: an idle pipeline takes the next one at once.

    Args:
        mailbox: where frames come from; counts what is too old in its drops, as ``stale``.
        clock: what their age is judged by.
        max_age_s: older frames are not inferred on; None takes every one.
        keep: hold on to the frame that was taken last, for ``in_hand``.
        fits: whether the model that runs takes a frame. Asked here, on the thread that changes models: whoever gives cannot know.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        clock: Clock,
        *,
        max_age_s: float | None = None,
        keep: bool = False,
        fits: Callable[[Frame], bool] = lambda _: True,
    ) -> None:
        self._mailbox, self._fits = mailbox, fits
        self._now_ns = clock.monotonic_ns
        self._max_age_ns = None if max_age_s is None else int(max_age_s * NS_PER_S)
        self._limit = RateLimit(None)
        self.keep = keep
        self.one_by_one = False
        """Whether a frame is wanted only once the one before is reported."""
        self.in_hand: Frame | None = None
        self.heard: Callable[[Frame], None] | None = None
        """Told of every frame that the pipeline takes, as it takes it; returns at once."""

    def limit(self, hz: float | None) -> None:
        """Let so many frames a second through, from the next one on, on any thread; None lets every one through."""
        self._limit = RateLimit(hz)

    @property
    def ended(self) -> bool:
        """Whether there will never be another frame."""
        return self._mailbox.ended

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for a frame; None when none came in time, it was too old, one too many or for another model, or there are no more."""
        frame = self._mailbox.take(timeout_s)
        if frame is None:
            return None
        if not self._fits(frame):
            self._mailbox.drop(OUTDATED)
            return None
        if self._max_age_ns is not None and self._now_ns() - frame.stamp.mono_ns > self._max_age_ns:
            self._mailbox.drop("stale")
            return None
        if not self._limit.passes(frame.stamp.mono_ns / NS_PER_S):
            self._mailbox.drop(SLOWED)
            return None
        if self.keep:
            self.in_hand = frame
        if self.heard is not None:
            self.heard(frame)
        return frame

    def more(self) -> Frame | None:
        """Give a frame that waits already; None also while the one in hand may still be looked at."""
        return None if self.keep or self.one_by_one else self.take(0.0)

    def __repr__(self) -> str:
        """Say what it stands before."""
        limit = "any age" if self._max_age_ns is None else f"up to {self._max_age_ns / NS_PER_S:g} s old"
        return f"<Inlet {limit}, {self._mailbox!r}>"
