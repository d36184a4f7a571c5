"""Who computes now: at most so many pipelines at once, the highest priority first, then in order of arrival.

More pipelines at work than processors only take time from each other: eight of them with an engine of 0.3 ms lost 40 % of one's frames
a second to hand-overs of the interpreter's lock. A turn is long enough for the frames that already wait, up to ``QUANTUM_NS``, unless
somebody more important comes.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

QUANTUM_NS = 20_000_000
"""How long a pipeline may go on with frames that already wait. With 5 ms a network of 4 ms changed hands after almost every frame, each
time with a thread to wake and another network's weights to fetch: 0.87 of one pipeline's frames a second instead of 0.99."""

Turn = AbstractContextManager[Callable[[], bool] | None]
"""Held while a pipeline computes; inside, it says whether somebody more important waits, where anybody can."""


class Turns:
    """Shared by a box's pipelines. Thread-safe."""

    def __init__(self, places: int) -> None:
        """Let ``places`` pipelines compute at once. Raises ValueError when that is not 1 or more."""
        if places < 1:
            message = f"cannot give turns at {places} places, expected 1 or more"
            raise ValueError(message)
        self._places = self._free = places
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, threading.Lock]] = []
        self._arrivals = count()

    def __repr__(self) -> str:
        """Say how many compute and wait."""
        return f"<Turns: {self._places - self._free} of {self._places} places taken, {len(self._waiting)} wait>"

    @contextmanager
    def turn(self, priority: int = 0) -> Iterator[Callable[[], bool]]:
        """Wait for a place and hold it; never taken twice by one thread. Gives what tells whether somebody more important waits."""
        self._take(priority)
        try:
            yield lambda: self._is_wanted_above(priority)
        finally:
            self._give()

    def _is_wanted_above(self, priority: int) -> bool:
        with self._lock:
            return bool(self._waiting) and -self._waiting[0][0] > priority

    def _take(self, priority: int) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            heapq.heappush(self._waiting, (-priority, next(self._arrivals), mine))
        # Whoever gives its place up releases this lock: the place goes from hand to hand, and nobody can slip in between.
        mine.acquire()

    def _give(self) -> None:
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[2].release()
            else:
                self._free += 1
