"""So many at once, and who comes next: the highest priority first, then in order of arrival."""

from __future__ import annotations

import heapq
import threading
from itertools import count


class Places:
    """Shared by those who wait for each other. Thread-safe."""

    def __init__(self, most: int) -> None:
        """Let ``most`` have a place at once. Raises ValueError when that is not 1 or more."""
        if most < 1:
            message = f"cannot give turns at {most} places, expected 1 or more"
            raise ValueError(message)
        self._most = self._free = most
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, int, threading.Lock]] = []
        self._arrivals = count()

    def __repr__(self) -> str:
        """Say how many have one and wait."""
        return f"{self._most - self._free} of {self._most} places taken, {len(self._waiting)} wait"

    def take(self, priority: int = 0, within_s: float = -1.0) -> bool:
        """Wait for a place, as long as it takes or for so long; False when none came. Never twice by one thread."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            mine = threading.Lock()
            mine.acquire()
            row = (-priority, next(self._arrivals), mine)
            heapq.heappush(self._waiting, row)
        # Whoever gives its place up releases this lock: the place goes from hand to hand, and nobody can slip in between.
        return mine.acquire(timeout=within_s) or not self._leaves(row)

    def give(self) -> None:
        """Give a place up."""
        with self._lock:
            if self._waiting:
                heapq.heappop(self._waiting)[2].release()
            else:
                self._free += 1

    def is_wanted_above(self, priority: int) -> bool:
        """Whether somebody more important waits."""
        with self._lock:
            return bool(self._waiting) and -self._waiting[0][0] > priority

    def _leaves(self, row: tuple[int, int, threading.Lock]) -> bool:
        """Wait no longer; False when the place was given in the last moment."""
        with self._lock:
            if row not in self._waiting:
                return False
            self._waiting.remove(row)
            heapq.heapify(self._waiting)
            return True
