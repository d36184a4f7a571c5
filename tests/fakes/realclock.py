"""This machine's own clock, where a test is about real time; that it is right is taken for granted."""

from __future__ import annotations

import time


class RealClock:
    """Implements ``edged.domain.ports.Clock``."""

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def synced(self) -> bool:
        return True
