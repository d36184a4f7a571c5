"""How long a process's threads waited for a processor, and so which frames a busy test machine lost and not the program."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from edged.hardware.spare import waiting_ns

LOOK_S = 0.05
STARVED_FRAMES = 0.5
"""Threads that waited for so much of the time from one frame to the next cannot have kept up: two frames came while they did not run."""


class Delays:
    """Looks on a thread of its own, until the process ends."""

    def __init__(self, pid: int) -> None:
        self._pid, self._seen = str(pid), [(time.monotonic(), 0)]
        threading.Thread(target=self._look, daemon=True).start()

    def within(self, first_s: float, last_s: float) -> float:
        """Give the seconds that they waited from one monotonic time to another, all threads together."""
        before = max((waited for at_s, waited in self._seen if at_s <= first_s), default=0)
        after = next((waited for at_s, waited in self._seen if at_s >= last_s), self._seen[-1][1])
        return (after - before) / 1e9

    def lost(self, results: Sequence[dict[str, Any]], fps: float) -> list[tuple[int, int]]:
        """Give the numbers of the frames around each gap, since it looks, in which the threads had their processors."""
        return [
            (before["frame"], after["frame"])
            for before, after in pairwise(results)
            if after["frame"] != before["frame"] + 1
            and before["mono_ms"] / 1000 >= self._seen[0][0]
            and self.within(before["mono_ms"] / 1000, after["mono_ms"] / 1000 + 1 / fps) < STARVED_FRAMES / fps
        ]

    def _look(self) -> None:
        total = before = 0
        while Path(f"/proc/{self._pid}").exists():
            now = waiting_ns(self._pid)
            # Threads that end take theirs with them.
            total, before = total + max(0, now - before), now
            self._seen.append((time.monotonic(), total))
            time.sleep(LOOK_S)
