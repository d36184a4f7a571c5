"""Which libedgetpu ran with which runtime: a mismatch is a crash, which shall not be tried again and again."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import time

from edged.domain.errors import DeviceError
from edged.engines.sandbox import Hello

CRASHES = 2
"""So many in a row, without one success, hold a library back with a runtime: a single one may have been the device's."""
FIRST_DAYS, MOST_DAYS = 1, 16
"""It is tried once more after a day, and after twice as long each time that it crashed again: two crashes may both have been a device's."""
DAY_S = 86_400
RAN = -1
"""Stands for the crashes of a pair that ran: it is never blamed again."""


@dataclass(frozen=True, slots=True)
class Past:
    """How often a pair crashed in a row (``RAN``: it ran), and when it did last, Unix time."""

    crashes: int = 0
    at_s: float = 0.0

    def left_s(self, now_s: float) -> float:
        """Give how long it is left alone still; a clock that was set back makes that no longer."""
        if self.crashes < CRASHES:
            return 0.0
        wait_s: float = DAY_S * min(MOST_DAYS, FIRST_DAYS * 2 ** min(self.crashes - CRASHES, 16))
        return max(0.0, wait_s - abs(now_s - self.at_s))


class Canary:
    """Remembers how each pair of library and runtime did, across restarts. Thread-safe."""

    def __init__(
        self, read: Callable[[], bytes | None], write: Callable[[bytes], None], now_s: Callable[[], float] = time
    ) -> None:
        """Keep it in a note; ``now_s`` is Unix time."""
        self._read, self._write, self._now_s = read, write, now_s
        self._lock = threading.Lock()

    def check(self, library: Path, hello: Hello) -> None:
        """Raise DeviceError while these two are left alone, since they crashed together and never ran."""
        past = self._pairs().get(pair(library, hello), Past())
        left_s = past.left_s(self._now_s())
        if left_s > 0:
            message = (
                f"cannot use {library.name} with {hello.runtime} {hello.runtime_version}: loading both crashed {past.crashes} times, "
                f"expected a library that was built for this runtime; tried again in {left_s / 3600:.0f} h"
            )
            remedy = (
                "name an interpreter with the runtime that it was built for (python below [engine.edgetpu]); "
                "to try again now, remove canary.json from the state directory"
            )
            raise DeviceError(message, remedy=remedy, code="runtime-mismatch")

    def note(self, library: Path, hello: Hello, *, crashed: bool) -> None:
        """Keep how it went."""
        with self._lock:
            pairs, name = self._pairs(), pair(library, hello)
            before = pairs.get(name, Past())
            if before.crashes == RAN:
                return
            after = Past(before.crashes + 1 if crashed else RAN, self._now_s())
            told = {one: {"crashes": past.crashes, "at_s": past.at_s} for one, past in {**pairs, name: after}.items()}
            self._write(json.dumps({"schema": "edged.canary/2", "pairs": told}).encode())

    def _pairs(self) -> dict[str, Past]:
        try:
            pairs = json.loads(self._read() or b"")["pairs"]
            return {str(name): _past(told) for name, told in pairs.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return {}


def pair(library: Path, hello: Hello) -> str:
    """Name a library's content with a runtime's version."""
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    return f"{digest[:16]} {hello.runtime} {hello.runtime_version} python {hello.python}"


def _past(told: object) -> Past:
    """Read what was noted; the note's first form had the count alone, and no end."""
    if isinstance(told, dict):
        return Past(int(told["crashes"]), float(told["at_s"]))
    return Past(int(str(told)))
