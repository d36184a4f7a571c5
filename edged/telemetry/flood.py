"""What fails a thousand times a second must not fill the disk with saying so: of each code so many events pass in so long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

MOST, PERIOD_S = 200, 60.0
"""Of one code: more than a start or an update of a box with dozens of pipelines says, and some 5 MB an hour at worst."""
FIELD = "unsaid"


class Flood(logging.Filter):
    """Passes the first ``MOST`` events of a code in each ``PERIOD_S``; the next that passes has ``unsaid``: how many did not."""

    def __init__(self, fields: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``fields`` is the attribute of a record that carries its fields; ``clock`` gives seconds that never go back."""
        super().__init__()
        self._fields, self._clock = fields, clock
        self._lock = threading.Lock()
        self._periods: dict[str, tuple[float, int]] = {}
        """Of each code: when its period began, and how many came in it. Bounded, since codes are words of the source."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes; from any thread, since handlers ask before they take their lock."""
        with self._lock:
            count, unsaid = self._counted(str(record.msg), self._clock())
        if unsaid:
            setattr(record, self._fields, {**getattr(record, self._fields, {}), FIELD: unsaid})
        return count <= MOST

    def _counted(self, code: str, now_s: float) -> tuple[int, int]:
        """Give how many of a code came in this period, and how many of the one before were not said if this one is the first."""
        began_s, count = self._periods.get(code, (now_s, 0))
        unsaid = 0
        if now_s - began_s >= PERIOD_S:
            began_s, count, unsaid = now_s, 0, max(0, count - MOST)
        self._periods[code] = (began_s, count + 1)
        return count + 1, unsaid
