"""What may be sent next: the part of the outbox that lies in memory, bounded, in sending order. No input or output here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

PRIORITIES = 3
"""0 levels and events, 1 results, 2 telemetry (see edged.domain.message.Draft)."""
MAX_ROWS = 256
"""A priority's share of memory, in rows: four windows of the widest link, so that a refill is ready before it is
needed."""
MAX_BYTES = 2 * 1024 * 1024
"""The same in bytes: 16 documents of the largest size."""
MAX_EXPRESS = 64
"""QoS 0 rows that may wait for the link; the oldest goes first, its gap is no loss."""

Key = tuple[int, int]
"""(priority, id): where a row stands in the queue. Ids grow within a priority and are never used twice."""


@dataclass(frozen=True, slots=True)
class Row:
    """A numbered document. ``payload`` is its JSON in UTF-8; ``stream`` is the topic below ``out/``."""

    priority: int
    id: int
    stream: str
    seq: int
    qos: int
    retain: bool
    payload: bytes

    @property
    def key(self) -> Key:
        """Where the row stands in the queue."""
        return self.priority, self.id


class Ready:
    """Rows in memory, by priority, and those that the link has taken and not yet settled.

    What does not fit is *spilled*: it lies on the disk only, and ``wants`` says from where on it is to be read. Within
    one priority rows leave in the order of their ids; a stream that keeps to one priority therefore stays in order.
    """

    def __init__(self, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._waiting: tuple[deque[Row], ...] = tuple(deque() for _ in range(PRIORITIES))
        self._bytes = [0] * PRIORITIES
        self._loaded = [0] * PRIORITIES
        self._spilled = [False] * PRIORITIES
        self._taken: dict[Key, Row] = {}
        self._gone: set[Key] = set()
        self._express: deque[Row] = deque(maxlen=MAX_EXPRESS)
        self.express_dropped = 0
        self.parked: frozenset[str] = frozenset()
        """Streams that the broker takes nothing of now: their rows stay on the disk, and all others pass them by."""

    def __len__(self) -> int:
        """How many rows wait in memory, those that were taken not among them."""
        return sum(map(len, self._waiting)) + len(self._express)

    @property
    def taken(self) -> int:
        """How many rows the link has and has not settled."""
        return len(self._taken)

    def oldest(self) -> list[Row]:
        """Give of each priority the row that has been longest in memory, taken or waiting."""
        first = [waiting[0] for waiting in self._waiting if waiting]
        taken: dict[int, Row] = {}
        for row in self._taken.values():
            if row.priority not in taken or row.id < taken[row.priority].id:
                taken[row.priority] = row
        return [*first, *taken.values()]

    def offer(self, row: Row) -> None:
        """Take a row that is newer than every other of its priority; it is spilled when there is no room."""
        priority = row.priority
        if row.stream in self.parked and not self._spilled[priority]:
            self._loaded[priority] = row.id
            return
        if self._spilled[priority] or self._full(priority, len(row.payload)):
            self._spilled[priority] = True
            return
        self._append(row)

    def offer_express(self, row: Row) -> None:
        """Take a QoS 0 row: sent before all others or not at all."""
        if len(self._express) == MAX_EXPRESS:
            self.express_dropped += 1
        self._express.append(row)

    def spill(self, priority: int) -> None:
        """Say that rows of this priority lie on the disk (at start)."""
        self._spilled[priority] = True

    def reload(self) -> None:
        """Forget what waits and read everything from the disk again, from its beginning."""
        for priority, waiting in enumerate(self._waiting):
            waiting.clear()
            self._bytes[priority] = self._loaded[priority] = 0
            self._spilled[priority] = True

    def park(self, stream: str) -> None:
        """Set a stream aside; what the link has of it comes back through ``hold``."""
        self.parked |= {stream}
        for priority, waiting in enumerate(self._waiting):
            kept = [row for row in waiting if row.stream != stream]
            waiting.clear()
            waiting.extend(kept)
            self._bytes[priority] = sum(len(row.payload) for row in kept)

    def hold(self, key: Key) -> None:
        """Take back a row of a parked stream; it lies on the disk."""
        self._taken.pop(key, None)

    def unpark(self) -> None:
        """Send every stream again, each in its order."""
        self.parked = frozenset()
        self.reload()

    def wants(self, priority: int) -> int | None:
        """Give the id after which rows are to be read from the disk, None while memory still holds enough."""
        if self._spilled[priority] and len(self._waiting[priority]) < self._max_rows // 4:
            return self._loaded[priority]
        return None

    def refill(self, priority: int, rows: Iterable[Row], *, complete: bool) -> None:
        """Take rows from the disk, oldest first; ``complete`` says that no newer ones lie there."""
        for row in rows:
            if row.stream in self.parked:
                self._loaded[priority] = row.id
                continue
            if row.key in self._taken or row.key in self._gone:
                continue
            if self._full(priority, len(row.payload)):
                return
            self._append(row)
        self._spilled[priority] = not complete

    def take(self, limit: int) -> list[Row]:
        """Hand at most ``limit`` rows to the link, the most urgent first."""
        rows: list[Row] = []
        while self._express and len(rows) < limit:
            rows.append(self._express.popleft())
        for priority, waiting in enumerate(self._waiting):
            while waiting and len(rows) < limit:
                row = waiting.popleft()
                self._bytes[priority] -= len(row.payload)
                self._taken[row.key] = row
                rows.append(row)
        return rows

    def settle(self, key: Key) -> Row | None:
        """Forget a taken row, for good; None when it was not taken. Until ``deleted`` it still lies on the disk."""
        row = self._taken.pop(key, None)
        if row is not None:
            self._gone.add(key)
        return row

    def deleted(self, keys: Iterable[Key]) -> None:
        """Note that settled rows lie on the disk no more."""
        self._gone.difference_update(keys)

    def give_back(self) -> None:
        """Put everything that was taken back to its place: the connection is gone, and all of it will be sent again."""
        for row in sorted(self._taken.values(), key=lambda row: row.id, reverse=True):
            if row.stream in self.parked:
                continue
            self._waiting[row.priority].appendleft(row)
            self._bytes[row.priority] += len(row.payload)
        self._taken.clear()
        self._express.clear()

    def discard(self, keys: Iterable[Key]) -> set[Key]:
        """Forget rows that wait (they were evicted). Gives the keys among them that the link has: these stay."""
        wanted = set(keys)
        held = {key for key in wanted if key in self._taken}
        for priority in {priority for priority, _ in wanted - held}:
            waiting = self._waiting[priority]
            kept = [row for row in waiting if row.key not in wanted]
            waiting.clear()
            waiting.extend(kept)
            self._bytes[priority] = sum(len(row.payload) for row in kept)
        return held

    def in_memory(self) -> list[Row]:
        """Every row that is in memory and would be lost with it, oldest first."""
        rows = [*self._taken.values(), *(row for waiting in self._waiting for row in waiting)]
        return sorted(rows, key=lambda row: row.key)

    def _full(self, priority: int, size: int) -> bool:
        waiting = len(self._waiting[priority])
        return waiting >= self._max_rows or (waiting > 0 and self._bytes[priority] + size > self._max_bytes)

    def _append(self, row: Row) -> None:
        self._waiting[row.priority].append(row)
        self._bytes[row.priority] += len(row.payload)
        self._loaded[row.priority] = row.id
