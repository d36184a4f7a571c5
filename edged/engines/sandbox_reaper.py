"""Children that were killed and have not ended yet: a call in a driver may hold a process for as long as its device hangs.

Whoever killed one goes on at once. One thread waits for all of them, and only while there are any.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from time import sleep

LOOK_S = 0.5
"""How often is looked whether one has ended: nobody waits for it."""


class Reaper:
    """Takes in processes that shall end, until they have. Thread-safe."""

    def __init__(self, pause: Callable[[float], None] = sleep) -> None:
        """``pause`` waits for so many seconds."""
        self._pause = pause
        self._lock = threading.Lock()
        self._left: list[subprocess.Popen[bytes]] = []

    def __repr__(self) -> str:
        return f"<Reaper of {', '.join(str(one.pid) for one in self._left) or 'nothing'}>"

    def take(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for its end from now on; returns at once. May be called twice for one."""
        with self._lock:
            if process in self._left:
                return
            self._left.append(process)
            is_first = len(self._left) == 1
        if is_first:
            threading.Thread(target=self._run, name="edged-sandbox-reaper", daemon=True).start()

    def _run(self) -> None:
        while self._look():
            self._pause(LOOK_S)

    def _look(self) -> bool:
        with self._lock:
            self._left = [one for one in self._left if one.poll() is None]
            return bool(self._left)
