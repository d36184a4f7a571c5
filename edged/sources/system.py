"""The box's own readings as a sensor: heat, load, memory and pressure, so that a model may watch the box itself."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock

NS_PER_S = 1_000_000_000

ABSENT_ROUNDS = 10
"""So many rounds in a row without one of the readings, and it is gone: a driver was unloaded, a sensor unplugged."""

Read = Callable[[], Mapping[str, float | None]]
"""Takes one round of readings; None is one that this box does not have."""


def open_source(*, read: Read, clock: Clock, columns: Sequence[str], rate_hz: float = 1.0) -> SystemSource:
    """Look which readings there are.

    Args:
        read: takes a round of readings.
        clock: stamps them.
        columns: names of readings, in the model's order.
        rate_hz: rounds a second.

    Raises:
        ConfigError: no reading has this name.
        DeviceError: this box does not have it (``reading-absent``).
    """
    found = read()
    unknown = [name for name in columns if name not in found]
    if unknown:
        message = f"cannot read {unknown[0]!r} of this box, expected one of {', '.join(sorted(found))}"
        raise ConfigError(message)
    absent = [name for name in columns if found[name] is None]
    if absent:
        there = ", ".join(sorted(name for name, value in found.items() if value is not None))
        message = f"cannot read {absent[0]!r}: this box has none, expected one of {there}"
        raise DeviceError(message, remedy="name another reading", code="reading-absent")
    return SystemSource(read, clock, columns, rate_hz)


class SystemSource:
    """One sample a round. A round without one of the readings is left out and counted in ``drops`` as ``absent``.

    ``wait`` waits for so many seconds, and returns True at once when the source was closed; for tests.
    """

    def __init__(
        self,
        read: Read,
        clock: Clock,
        columns: Sequence[str],
        rate_hz: float,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.drops: Counter[str] = Counter()
        self._read = read
        self._clock = clock
        self._columns = tuple(columns)
        self._step_ns = int(NS_PER_S / rate_hz)
        self._closed = threading.Event()
        self._wait = wait or self._closed.wait
        self._due_ns = clock.monotonic_ns()
        self._samples = 0

    def read(self) -> Samples | None:
        """Wait until the next round is due; None after ``close``.

        Raises:
            SourceLostError: a reading was absent for ``ABSENT_ROUNDS`` rounds.
        """
        for _ in range(ABSENT_ROUNDS):
            if self._wait(max(0, self._due_ns - self._clock.monotonic_ns()) / NS_PER_S):
                return None
            now_ns = self._clock.monotonic_ns()
            found = self._read()
            values = [found.get(name) for name in self._columns]
            # A round that comes late is none to be caught up with.
            self._due_ns = max(self._due_ns + self._step_ns, now_ns)
            if None not in values:
                return self._sample(values, now_ns)
            self.drops["absent"] += 1
        absent = ", ".join(name for name, value in zip(self._columns, values, strict=True) if value is None)
        message = f"cannot read {absent} on: nothing in {ABSENT_ROUNDS} rounds, expected a number"
        raise SourceLostError(message, code="reading-absent")

    def close(self) -> None:
        """Stop; a read that waits ends at once."""
        self._closed.set()

    def __repr__(self) -> str:
        """Say what is read."""
        state = "closed" if self._closed.is_set() else "open"
        return f"<SystemSource {', '.join(self._columns)}: {state}, {self._samples} samples, drops {dict(self.drops)}>"

    def _sample(self, values: Sequence[float | None], now_ns: int) -> Samples:
        now_s = now_ns / NS_PER_S
        stamp = Stamp(self._samples, now_ns, self._clock.wall_ns(), now_s)
        self._samples += 1
        return Samples(np.array([values], np.float32), np.array([now_s]), stamp)
