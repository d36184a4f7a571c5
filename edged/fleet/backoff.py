"""How long to wait before the next try. Decisions only: nothing sleeps here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter below a ceiling that doubles from ``base_s`` to ``cap_s``; the start again after ``stable_s`` online.

    Full jitter (uniform between 0 and the ceiling) is what spreads a fleet that lost its broker at the same moment;
    paho's own back-off has none. ``slow_s`` is the lane for what only a person can mend, such as a wrong password.
    """

    base_s: float = 1.0
    cap_s: float = 120.0
    stable_s: float = 60.0
    slow_s: float = 300.0
    least_s: float = 0.05
    """Never quite at once: a broker that closes every connection must not make a busy loop."""

    def __post_init__(self) -> None:
        """Refuse a ceiling that would shrink."""
        if not 0 < self.base_s <= self.cap_s:
            message = f"cannot back off between {self.base_s} s and {self.cap_s} s, expected 0 < base_s <= cap_s"
            raise ValueError(message)

    def ceiling_s(self, attempt: int) -> float:
        """Give the longest wait before try number ``attempt`` (0 is the first after a connection)."""
        doublings = min(attempt, 32)  # beyond, the power is larger than any cap and only costs digits
        return float(min(self.cap_s, self.base_s * 2**doublings))


class Retry:
    """Counts failures in a row. ``random`` gives 0 <= x < 1."""

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self._backoff, self._random = backoff, random
        self.attempt = 0

    def after(self, online_s: float, *, slow: bool = False) -> float:
        """Give the seconds to wait after a connection that was online for ``online_s`` (0: never)."""
        backoff = self._backoff
        if slow:
            # Between half and the whole: slow, and still not in step with the rest of the fleet.
            return backoff.slow_s * (0.5 + self._random() / 2)
        if online_s >= backoff.stable_s:
            self.attempt = 0
        wait_s = self._random() * backoff.ceiling_s(self.attempt)
        self.attempt += 1
        return max(backoff.least_s, wait_s)
