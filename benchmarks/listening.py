"""The subscriber as a process of its own, and what it heard."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from pathlib import Path

PROGRAM = Path(__file__).with_name("subscriber.py")
READY_S = 20.0


class Listener:
    """Started when built, and subscribed then. ``heard`` gives arrivals in their order."""

    def __init__(self, port: int) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._thread = threading.Thread(target=self._read, name="listener", daemon=True)
        self._thread.start()
        self._lines.get(timeout=READY_S)

    def heard(self, timeout_s: float) -> tuple[int, int]:
        """Wait for a result; gives the monotonic time of its arrival in ns, and its frame. Raises queue.Empty when none came."""
        at, _, frame = self._lines.get(timeout=timeout_s).split()
        return int(at), int(frame)

    def forget(self) -> None:
        """Drop what was heard so far."""
        while not self._lines.empty():
            self._lines.get()

    def close(self) -> None:
        """End the program."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(10)
        self._thread.join(5)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
