"""Closing what another thread may be reading: no library may lose what it reads from."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Closing:
    """Gives something back when that is asked for: at once, or as soon as a read in another thread is over.

    A read is a ``with`` block. ``give_back`` may be called twice.
    """

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back = give_back
        self._reading = threading.Lock()
        self._asked = threading.Event()
        self.wait = self._asked.wait
        """Wait for so many seconds; True at once when it is asked for."""

    def __enter__(self) -> None:
        self._reading.acquire()

    def __exit__(self, *_: object) -> None:
        self._reading.release()
        if self.is_asked:  # looked at only now: whoever asked while the lock was held has left it to this thread
            self.ask()

    def __repr__(self) -> str:
        return "closed" if self.is_asked else "open"

    @property
    def is_asked(self) -> bool:
        """Whether the source shall give nothing any more."""
        return self._asked.is_set()

    def ask(self) -> bool:
        """Ask for it; False when a read has to come to its end first."""
        self._asked.set()
        if not self._reading.acquire(blocking=False):
            return False
        try:
            self._give_back()
        finally:
            self._reading.release()
        return True
