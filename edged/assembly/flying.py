"""From ``[telemetry] history`` to the flight recorder, and to who asks it. Imported only where the history is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edged.assembly.flight import PART, FlightRecorder
from edged.assembly.histories import Histories
from edged.assembly.history_store import HistoryStore
from edged.assembly.sampling import Sampler
from edged.assembly.scraping import Scraper
from edged.daemon import Wanted
from edged.domain.ports import Clock
from edged.pipeline.line import Line

USAGE_S = 10.0
"""How often the process and the disk are looked at: going through a box's processes takes more than the rest together."""


class Flight:
    """The recorder of a state directory. ``scraper`` looks at the box."""

    def __init__(
        self, scraper: Scraper, state: Path, boot_id: str, clock: Clock, lines: Callable[[], Sequence[Line]]
    ) -> None:
        store = HistoryStore(state)
        self._recorder = FlightRecorder(Sampler(scraper.scene), store, boot_id, clock, lambda: bool(lines()))
        self.histories = Histories(store, self._recorder.pending, clock)
        """What the dashboard asks."""

    def __repr__(self) -> str:
        return f"<Flight {self._recorder!r}>"

    def parts(self) -> tuple[Wanted, ...]:
        """Give the part of the daemon that records."""
        return (Wanted(PART, None, lambda: self._recorder),)
