"""A pipeline's end of the recorder, and what waits between the two: bounded, so that no pipeline ever waits for a disk."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from edged.assembly.roll import Around, Subject
from edged.domain.frame import Frame
from edged.domain.result import Event, Result

WAITING_BYTES = 32 * 1024**2
"""Of pictures that wait to be encoded: five of 1080p, half a minute of those that small models are shown."""
WAITING = 4096
"""Things of any kind that wait."""

What = Literal["input", "result", "event", "ask", "gone"]


class Tap:
    """One pipeline's end: a sink, and the ear at its inlet. Its calls return at once, whatever the disk does."""

    def __init__(self, subject: Subject, around: Around, put: Callable[[Tap, What, Any, int], bool]) -> None:
        self.subject, self.around = subject, around
        self._put = put
        self.missed = 0
        """Inputs that found no place since the last one that did."""

    def __repr__(self) -> str:
        return f"<Tap {self.subject.pipeline}: {self.missed} missed>"

    def frame(self, frame: Frame) -> None:
        """Take what the pipeline is about to judge, or to pass over as still."""
        self.missed = 0 if self._put(self, "input", (frame, self.missed), frame.data.nbytes) else self.missed + 1

    def result(self, result: Result) -> None:
        """Take what was made of it."""
        self._put(self, "result", result, 0)

    def event(self, event: Event) -> None:
        """Take a rule's word; the beginning and the end of an event are recorded with what was around them."""
        self._put(self, "event", event, 0)

    def ask(self, seconds: float) -> None:
        """Record from now on, for so long."""
        self._put(self, "ask", seconds, 0)


class Waiting:
    """What taps have given and nobody has taken yet. Thread-safe."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Tap, What, Any, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, tap: Tap, what: What, value: Any, size: int) -> bool:
        """Take an entry that holds so many bytes; False where there is no place for it."""
        with self._changed:
            is_full = self._bytes + size > WAITING_BYTES and self._bytes > 0
            if (size and is_full) or len(self._entries) >= WAITING:
                return False
            self._entries.append((tap, what, value, size))
            self._bytes += size
            self._changed.notify()
        return True

    def take(self, timeout_s: float) -> tuple[Tap, What, Any] | None:
        """Wait for an entry; None when none came in time, or none will come."""
        with self._changed:
            if not self._entries and not self.is_closed:
                self._changed.wait(timeout_s)
            if not self._entries:
                return None
            tap, what, value, size = self._entries.popleft()
            self._bytes -= size
        return tap, what, value

    def close(self) -> None:
        """Say that what is there is all that will be waited for."""
        with self._changed:
            self.is_closed = True
            self._changed.notify()
