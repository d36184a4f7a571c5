"""How long to wait for an answer before asking again: what RFC 6298 does for TCP, on lines from a rack to a modem."""

from __future__ import annotations

FIRST_S, LEAST_S, MOST_S = 2.0, 1.0, 120.0
_GAIN, _SPREAD_GAIN, _SPREADS = 1 / 8, 1 / 4, 4
"""RFC 6298, 2.3: how much a new sample counts for the mean and for its spread, and how many spreads are added."""


class RoundTrip:
    """Learns from answers to questions that were asked once; ``wait_s`` doubles with each that did not come in time."""

    def __init__(self) -> None:
        self.wait_s = FIRST_S
        self._mean_s: float | None = None
        self._spread_s = 0.0

    def answered(self, took_s: float) -> None:
        """Take an answer into account; not one to a question that was asked twice: nobody knows which it answers (Karn)."""
        if self._mean_s is None:
            self._mean_s, self._spread_s = took_s, took_s / 2
        else:
            self._spread_s += _SPREAD_GAIN * (abs(took_s - self._mean_s) - self._spread_s)
            self._mean_s += _GAIN * (took_s - self._mean_s)
        self.wait_s = min(MOST_S, max(LEAST_S, self._mean_s + _SPREADS * self._spread_s))

    def late(self) -> None:
        """Take into account that no answer came in time."""
        self.wait_s = min(MOST_S, self.wait_s * 2)
