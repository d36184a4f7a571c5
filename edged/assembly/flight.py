"""The flight recorder: looks at everything that the box counts once a second, and keeps a minute at a time."""

from __future__ import annotations

import logging
import threading
from array import array
from collections.abc import Callable, Mapping
from math import nan

import numpy as np

from edged.assembly.history_store import HistoryStore
from edged.assembly.side_part import SidePart
from edged.domain.ports import Clock
from edged.telemetry.history import MAX_COLUMNS, Block

PART = ".flight"
"""Its name among the daemon's parts; no source can have it."""
TICK_S = 1.0
ROWS, FIRST_ROWS = 60, 10
"""A block is written once a minute, which is 1440 times a day for the flash; the first one of a run sooner, so that a box that ends within
its first minute, again and again, leaves what it met."""
_NS_PER_S, _NS_PER_MS = 1_000_000_000, 1_000_000

_LOG = logging.getLogger("edged.history")


class FlightRecorder(SidePart):
    """A part of the daemon. ``sample`` gives the figures of now by column, ``runs`` whether there are pipelines to record.

    A card that takes half a minute to sync costs rows, not the service.
    """

    def __init__(
        self,
        sample: Callable[[], Mapping[str, float]],
        store: HistoryStore,
        boot_id: str,
        clock: Clock,
        runs: Callable[[], bool] = lambda: True,
        *,
        tick_s: float = TICK_S,
    ) -> None:
        super().__init__("edged-flight")
        self._sample, self._store, self._boot, self._clock, self._runs = sample, store, boot_id, clock, runs
        self._tick_ns = int(tick_s * _NS_PER_S)
        self._index: dict[str, int] = {}
        self._times: list[tuple[int, int]] = []
        self._rows: list[array[float]] = []
        self._is_synced = False
        self._due_rows = FIRST_ROWS
        self._lock = threading.Lock()
        """Of the rows in hand: the dashboard shows them, too."""

    def __repr__(self) -> str:
        return f"<FlightRecorder: {len(self._index)} columns, {len(self._rows)} s in hand>"

    @property
    def ended(self) -> bool:
        """Nobody waits for it, unless nothing else runs: then the box is there to be watched."""
        return self._runs()

    def tick(self) -> None:
        """Take one row, and keep the block when it is full."""
        figures, is_synced = self._sample(), self._clock.synced()
        if self._rows and is_synced != self._is_synced:
            # A block is dated in one piece, see ``edged.telemetry.past``.
            self.keep()
        with self._lock:
            self._is_synced = is_synced
            self._add(figures)
        if len(self._rows) >= self._due_rows:
            self.keep()

    def keep(self) -> None:
        """Write what is in hand."""
        block = self.pending()
        if block is None:
            return
        known: list[str] = []
        try:
            self._store.append(block)
            # Columns of which the block knows nothing go with it.
            rows = zip(block.columns, block.values.T, strict=True)
            known = [name for name, values in rows if not np.isnan(values).all()]
        finally:
            # Whatever becomes of it: kept in hand, they would be more from second to second.
            with self._lock:
                self._index = {name: at for at, name in enumerate(known)}
                self._times, self._rows, self._due_rows = [], [], ROWS

    def pending(self) -> Block | None:
        """Give what is in hand and not written yet. Safe on any thread."""
        with self._lock:
            if not self._rows:
                return None
            columns = tuple(self._index)
            values = np.full((len(self._rows), len(columns)), np.nan)
            for at, row in enumerate(self._rows):
                values[at, : len(row)] = row
            walls_ms, monos_ms = np.array(self._times, np.int64).T
            return Block(self._boot, self._is_synced, columns, walls_ms, monos_ms, values)

    def _add(self, figures: Mapping[str, float]) -> None:
        for name in figures:
            if name not in self._index and len(self._index) < MAX_COLUMNS:
                self._index[name] = len(self._index)
        self._times.append((self._clock.wall_ns() // _NS_PER_MS, self._clock.monotonic_ns() // _NS_PER_MS))
        self._rows.append(array("d", [figures.get(name, nan) for name in self._index]))

    def _run(self) -> None:
        due_ns = self._clock.monotonic_ns()
        while not self._stop.wait(max(0.0, (due_ns - self._clock.monotonic_ns()) / _NS_PER_S)):
            # What was missed while the disk or the processor was held up is not made up for.
            due_ns = max(due_ns, self._clock.monotonic_ns() - self._tick_ns) + self._tick_ns
            self._guarded(self.tick)
        self._guarded(self.keep)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # noqa: BLE001 - the pipelines run without a recorder, too
            _LOG.exception("history.broken")
