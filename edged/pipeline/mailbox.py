"""The hand-over from a source's thread to a pipeline's thread: one place, the newest frame wins."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic

from edged.domain.errors import EdgedError
from edged.domain.frame import Frame


class Mailbox:
    """One writer, one reader, depth one.

    A deeper queue only makes results older: with a reader slower than its source it is always full, and every frame
    waits behind all the others. ``lossless`` is for finite sources that shall be read to the last frame: there the
    writer waits for the reader instead.

    A frame that nobody will ever see is counted in ``drops`` by cause: ``replaced`` (a newer one came), ``closed`` (it
    came after the end), ``no-model`` (its pipeline had no model that runs).
    """

    def __init__(self, name: str = "", *, lossless: bool = False) -> None:
        self.name = name
        self.lossless = lossless
        self.puts = 0
        self.taken = 0
        self._drops: Counter[str] = Counter()
        self._frame: Frame | None = None
        self._closed = False
        self._error: EdgedError | None = None
        self._changed = threading.Condition(threading.Lock())

    def put(self, frame: Frame, timeout_s: float | None = None) -> bool:
        """Hand a frame over. Never waits unless the mailbox is lossless.

        Args:
            frame: what the reader shall get.
            timeout_s: lossless only: how long to wait for the place to be free; None is until it is, or ``close``.

        Returns:
            False when the place stayed taken for ``timeout_s``: the frame is still the caller's, to be offered again.
        """
        with self._changed:
            if self.lossless and not self._until(self._has_place, timeout_s):
                return False
            self.puts += 1
            if self._closed:
                self._drops["closed"] += 1
                return True
            if self._frame is not None:
                self._drops["replaced"] += 1
            self._frame = frame
            self._changed.notify()
        return True

    def drop(self, cause: str) -> None:
        """Count a frame that never came this far."""
        with self._changed:
            self._drops[cause] += 1

    def take(self, timeout_s: float | None = None) -> Frame | None:
        """Give the frame, or None when none came in ``timeout_s`` or the mailbox has ended (see ``ended``)."""
        with self._changed:
            if not self._until(self._has_news, timeout_s) or self._frame is None:
                return None
            frame, self._frame = self._frame, None
            self.taken += 1
            if self.lossless:
                self._changed.notify()
        return frame

    def close(self, error: EdgedError | None = None) -> None:
        """End the stream; may be called from either side and twice. A frame that waits can still be taken.

        Args:
            error: why, when the end is no clean one; the first close's word stands.
        """
        with self._changed:
            if not self._closed:
                self._closed = True
                self._error = error
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether it is closed and empty: nothing will ever come again."""
        with self._changed:
            return self._closed and self._frame is None

    @property
    def error(self) -> EdgedError | None:
        """Why the stream ended; None while it has not, and after a clean end."""
        return self._error

    @property
    def drops(self) -> dict[str, int]:
        """Frames that the reader never got, by cause."""
        with self._changed:
            return dict(self._drops)

    def __repr__(self) -> str:
        """Say how it is used, what has gone through, and what was lost."""
        with self._changed:
            kind = "lossless" if self.lossless else "newest wins"
            state = "closed" if self._closed else "open"
            waiting = "a frame waits" if self._frame is not None else "empty"
            return (
                f"<Mailbox {self.name!r}, {kind}: {state}, {waiting}, "
                f"{self.puts} put, {self.taken} taken, drops {dict(self._drops)}>"
            )

    def _has_place(self) -> bool:
        return self._frame is None or self._closed

    def _has_news(self) -> bool:
        return self._frame is not None or self._closed

    def _until(self, is_met: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait under the lock. Not ``Condition.wait_for``: the check before any wait is what the hot path takes."""
        if is_met():
            return True
        deadline = None if timeout_s is None else monotonic() + timeout_s
        while True:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                return False
            self._changed.wait(left)
            if is_met():
                return True
