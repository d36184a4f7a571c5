"""What runs now: told by the daemon at each report, asked by all who look after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edged.daemon import Part
from edged.domain.health import Grade, Reason
from edged.pipeline.line import Line


class Roster:
    """The parts that run, as of the last report. Safe on any thread: what is told takes the place of what was told before."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.parts: Sequence[Part] = ()
        self._lines: tuple[Line, ...] = ()
        self.grade: Grade = "ok"
        self.reasons: Sequence[Reason] = ()
        self.is_told = False
        self.is_online = False
        self.said: Mapping[str, Any] = {}
        """The last body of each retained stream."""

    def tell(self, grade: Grade, reasons: Sequence[Reason], parts: Sequence[Part]) -> None:
        """Keep what the daemon reports."""
        self.parts, self.grade, self.reasons = parts, grade, tuple(reasons)
        self._lines = tuple(part for part in parts if isinstance(part, Line))
        self.is_told = True

    def lines(self) -> tuple[Line, ...]:
        """Give the lines among them."""
        return self._lines
