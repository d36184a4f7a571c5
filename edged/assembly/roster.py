"""What runs now: told by the daemon at each report, asked by all who look after it."""

from __future__ import annotations

from collections.abc import Sequence

from edged.daemon import Part
from edged.pipeline.line import Line


class Roster:
    """The parts that run, as of the last report. Safe on any thread: what is told takes the place of what was told before."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.parts: Sequence[Part] = ()

    def lines(self) -> list[Line]:
        """Give the lines among them."""
        return [part for part in self.parts if isinstance(part, Line)]
