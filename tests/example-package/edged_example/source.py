"""A sensor that always says the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock


def open_source(*, options: Mapping[str, Any], clock: Clock) -> Steady:
    """Build it from ``options`` of the configuration: ``level``, and ``rate_hz``."""
    return Steady(float(options["level"]), float(options.get("rate_hz", 100.0)), clock)


class Steady:
    """One channel. A read takes as long as its sample."""

    def __init__(self, level: float, rate_hz: float, clock: Clock) -> None:
        self._values = np.full((1, 1), level, np.float32)
        self._period_s = 1 / rate_hz
        self._clock = clock
        self._closed = threading.Event()
        self._index = -1

    def read(self) -> Samples | None:
        """Give the next sample, dated by its number; None once closed."""
        if self._closed.wait(self._period_s):
            return None
        self._index += 1
        source_s = self._index * self._period_s
        stamp = Stamp(self._index, self._clock.monotonic_ns(), self._clock.wall_ns(), source_s)
        return Samples(self._values, np.array([source_s]), stamp)

    def close(self) -> None:
        """End the read that waits."""
        self._closed.set()
