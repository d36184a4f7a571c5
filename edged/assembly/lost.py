"""What engines were lost on this box, and so which rungs are left alone for now; shared by its pipelines."""

from __future__ import annotations

import logging
import threading

from edged.control.fallback import Fallback, way_of, without_held
from edged.domain.errors import EdgedError
from edged.domain.ports import Clock
from edged.domain.variant import Ladder, Rung
from edged.telemetry import logs

_LOG = logging.getLogger("edged.lost")


class Lost:
    """A ``Fallback`` with a clock and a lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock, self._fallback = clock, threading.Lock(), Fallback()

    def __repr__(self) -> str:
        return f"<Lost {self._fallback!r}>"

    def without(self, whole: Ladder) -> Ladder:
        """Give the ladder without what is left alone now."""
        with self._lock:
            return without_held(whole, self._fallback.held(self._clock.monotonic_ns()))

    def failed(self, rung: Rung, error: EdgedError) -> int:
        """Leave a rung alone for a while; gives how often it failed in a row."""
        logs.event(
            _LOG,
            "engine.lost",
            level=logging.WARNING,
            variant=rung.variant.id,
            accelerator=rung.accelerator,
            error=error,
        )
        with self._lock:
            return self._fallback.failed(way_of(rung), str(error.args[0]), self._clock.monotonic_ns())

    def opened(self, rung: Rung) -> None:
        """Take a rung as running again."""
        with self._lock:
            self._fallback.opened(way_of(rung), self._clock.monotonic_ns())

    def is_due(self) -> bool:
        """Whether something may be tried again since this was asked last."""
        with self._lock:
            return self._fallback.is_due(self._clock.monotonic_ns())
