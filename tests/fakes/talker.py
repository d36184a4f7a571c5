"""A sensor on a pseudo-terminal that speaks at its own rate, in a thread, until it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from fakes.serialline import Sensor


class Talker:
    """``say`` gives what the sensor sends at each step; ``port`` is where it is heard."""

    def __init__(self, link: Path, say: Callable[[int], bytes], rate_hz: float = 100) -> None:
        self.sensor = Sensor(link)
        self.port = link
        self._say = say
        self._step_s = 1 / rate_hz
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def unplug(self) -> None:
        with self.sensor.lock:
            self.sensor.unplug()

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self.sensor.close()

    def _talk(self) -> None:
        """Keep to the rate, whatever the machine does: what is late is sent together."""
        began_s, at = time.monotonic(), 0
        while not self._done.wait(max(0.0, began_s + at * self._step_s - time.monotonic())):
            with self.sensor.lock:
                self.sensor.fill_once(self._say(at))
            at += 1
