"""The outbox's decisions, on one thread and without waiting: numbering, committing, making room, living without a disk."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

from edged.domain.errors import DeviceError
from edged.domain.message import Draft
from edged.domain.ports import Clock
from edged.fleet import memory, topics, trouble
from edged.fleet.losses import Counts, Losses, Rejections
from edged.fleet.memory import MemoryLane
from edged.fleet.numbering import Numbers
from edged.fleet.ready import PRIORITIES, Key, Ready, Row
from edged.fleet.seal import Seal
from edged.fleet.store import SPARE_PAGES, Change, Store, cost
from edged.fleet.trouble import Trouble
from edged.fleet.volume import KEPT, UNKEPT, Volume
from edged.telemetry import logs

log = logging.getLogger(__name__)

EVICT_ROWS = 32
"""Evicted at a time: a transaction of this size stays within the WAL's bound."""
RETRY_NS = 2_000_000_000
LOAD_ROWS = 128
NS_PER_MS = 1_000_000
BLIND_ID = 1 << 40
"""Ids begin here when the file cannot be read: above all that it can hold."""


class Writer:
    """Owns the file. ``ready`` is shared with the link, under ``guard``; everything else belongs to one thread."""

    def __init__(
        self,
        volume: Volume,
        *,
        device: str,
        stamper: topics.Stamper,
        clock: Clock,
        ready: Ready,
        guard: AbstractContextManager[Any],
        on_commit: Callable[[str, int], None] | None = None,
    ) -> None:
        self._volume, self._stamper, self._clock = volume, stamper, clock
        self._ready, self._guard, self._on_commit = ready, guard, on_commit
        self._numbers, self.pending, self._adopted = Numbers(), 0, False
        self._next_id = [1] * PRIORITIES
        self._memory = MemoryLane(self._release)
        self._unapplied: set[Key] = set()
        self._room = self._retry_at_ns = 0
        self.losses, self.rejections, self.counts = Losses(), Rejections(), Counts()
        self._seal = Seal(device, self.number, self.rejections, self.counts, clock)
        self.committed: dict[str, int] = {}
        self.trouble: Trouble | None = None
        self.beat: Callable[[], object] = int  # says that a long step goes on
        self._start()

    # -- what the thread calls

    def take(self, draft: Draft) -> None:
        """Number a draft, commit it and hand it on; whatever the disk does, it is kept or counted."""
        seq = self.number(draft.stream) + 1
        payload = self._seal(draft, seq)
        if payload is None:
            return
        priority = min(max(draft.priority, 0), PRIORITIES - 1)
        if draft.qos == 0:
            self._take_express(Row(priority, 0, draft.stream, seq, 0, draft.retain, payload))
            return
        row = Row(priority, self._next_id[priority], draft.stream, seq, 1, draft.retain, payload)
        self._numbers.give(draft.stream, seq)
        self._next_id[priority] += 1
        if self._keep(row):
            self.pending += 1
            with self._guard:
                self._ready.offer(row)

    def settle(self, keys: Sequence[Key]) -> None:
        """Delete what the broker acknowledged."""
        self.counts.acknowledged += len(keys)
        self.pending -= len(keys)
        self._unapplied.update(key for key in keys if self._memory.pop(key) is None)
        if self._unapplied and self.trouble is None:
            self._change(Change(settled=self._unapplied), "delete")
        with self._guard:
            # What could not be deleted is in _unapplied, and passed over when it is read again.
            self._ready.deleted(keys)

    def refuse(self, row: Row, reason: str) -> None:
        """Give up a row that the broker will never take, and declare it."""
        self._lose([(row.stream, row.seq)], reason, [row])
        self.settle([row.key])
        self.counts.acknowledged -= 1

    def refill(self) -> None:
        """Read rows back into memory where it ran low."""
        for priority in range(PRIORITIES):
            with self._guard:
                after = self._ready.wants(priority)
            loaded = None if after is None else self._load(priority, after)
            if loaded is not None:
                with self._guard:
                    self._ready.refill(priority, loaded[0], complete=loaded[1])

    def tick(self) -> None:
        """Do what time asks for: try the disk again, declare losses."""
        now_ns = self._clock.monotonic_ns()
        if self.trouble is not None and now_ns >= self._retry_at_ns:
            self._recover()
        if self._numbers.passed:
            self._skip()
        if self.losses.due_ns is not None and now_ns >= self.losses.due_ns:
            self._declare()

    def due_ns(self) -> int | None:
        """When ``tick`` has something to do, None while it has not."""
        retry_ns = None if self.trouble is None else self._retry_at_ns
        return min((due for due in (self.losses.due_ns, retry_ns) if due is not None), default=None)

    def number(self, stream: str) -> int:
        """Give the last number of a stream, committed or not."""
        return self._numbers.of(stream)

    @property
    def incidents(self) -> Sequence[Trouble]:
        """What was found and mended."""
        return self._volume.incidents

    def disk_bytes(self) -> int:
        """Size of the file and its WAL; 0 without one."""
        store = self._volume.store  # read once: other threads ask, too
        return store.disk_bytes() if store else 0

    def close(self) -> None:
        """Keep what can be kept and close the file."""
        if self.trouble is not None:
            self._recover()
        if self.trouble is None and self.losses.gaps:
            self._declare()
        self._volume.close()

    # -- numbering and keeping

    def _take_express(self, row: Row) -> None:
        reserved = self._numbers.reserve(row.stream, row.seq)
        if reserved and self.trouble is None:
            self._change(Change(numbers=reserved), "reserve numbers")
        with self._guard:
            self._ready.offer_express(row)

    def _keep(self, row: Row) -> bool:
        store = self._volume.store
        if store is None or self.trouble is not None:
            return self._remember(row)
        try:
            self._room -= cost(row)
            if self._room < 0 and not self._make_room(row, store):
                store.check_disk(cost(row))  # memory may still take what a disk that others filled does not
                self._give_up(store, [(row.stream, row.seq)], [row], numbers={row.stream: row.seq})
                self._numbers.committed(row.stream)
                return False
            store.put(row)
        except sqlite3.Error as error:
            self._degrade(error)
            return self._remember(row)
        self._numbers.committed(row.stream)
        self._tell_commit(row)
        return True

    def _tell_commit(self, row: Row) -> None:
        self.counts.committed += 1
        self.committed[row.stream] = row.seq
        if self._on_commit is not None:
            self._on_commit(row.stream, row.seq)

    def _make_room(self, row: Row, store: Store) -> bool:
        """Evict the oldest of the lowest priority until ``row`` fits; False when only more urgent rows are left."""
        while (free := store.free_pages() - SPARE_PAGES) * 4096 <= cost(row):
            if not self._evict(store, row.priority):
                return False
        # The queue's last page is filled only in part: half of the free space is taken before the next exact look.
        self._room = free * 4096 // 2
        return True

    def _evict(self, store: Store, least: int) -> bool:
        # What the broker takes nothing of costs itself its place, and no other stream.
        with self._guard:
            parked = sorted(self._ready.parked)
        if parked and self._evict_from(store, range(PRIORITIES), parked):
            return True
        return self._evict_from(store, range(PRIORITIES - 1, least - 1, -1))

    def _evict_from(self, store: Store, priorities: Iterable[int], streams: Sequence[str] = ()) -> bool:
        for priority in priorities:
            oldest = store.oldest(priority, EVICT_ROWS, streams)
            with self._guard:
                held = self._ready.discard((priority, id_) for id_, _, _ in oldest)
            held |= self._unapplied
            victims = [found for found in oldest if (priority, found[0]) not in held]
            if victims:
                alerts = (store.load(priority, id_ - 1, 1) for id_, stream, _ in victims if stream == topics.ALERT)
                settled = [(priority, id_) for id_, _, _ in victims]
                self._give_up(store, [found[1:] for found in victims], chain(*alerts), settled=settled)
                self.pending -= len(victims)
                return True
        return False

    def _give_up(self, store: Store, lost: Sequence[tuple[str, int]], rows: Iterable[Row], **change: Any) -> None:
        with self.losses.unless_it_fails():
            self._lose(lost, "outbox-full", rows)
            store.apply(Change(**change, gaps=self.losses.gaps))

    def _lose(self, lost: Sequence[tuple[str, int]], reason: str, rows: Iterable[Row]) -> None:
        """Count what will never be sent; of ``rows``, those that told of a gap leave it to be told again."""
        now_ns = self._clock.monotonic_ns()
        self.losses.add(lost, reason, now_ns)
        for alert in (row for row in rows if row.stream == topics.ALERT):
            self.losses.tell_again(alert.payload, now_ns)

    def _declare(self) -> None:
        for gap in self.losses.take_all():
            self.take(Draft(topics.ALERT, gap.body(self._stamper.now()), priority=0))
        if self.trouble is None:
            self._change(Change(gaps=self.losses.gaps), "declare a gap")

    # -- without a disk

    def _change(self, change: Change, what: str) -> None:
        if self._volume.store is None:
            return
        try:
            self._volume.store.apply(change)
        except sqlite3.Error as error:
            logs.event(log, "outbox.unwritten", level=logging.WARNING, what=what, error=error)
            self._degrade(error)
            return
        self._unapplied.difference_update(list(change.settled))

    def _remember(self, row: Row) -> bool:
        self.counts.unstored += 1
        gone = self._memory.add(row)
        self._lose([(victim.stream, victim.seq) for victim in gone], "memory-full", gone)
        self.pending -= sum(victim is not row for victim in gone)
        return row.key in self._memory

    def _release(self, row: Row) -> bool:
        with self._guard:
            return not self._ready.discard([row.key])

    def _load(self, priority: int, after: int) -> tuple[list[Row], bool] | None:
        """Read what follows ``after`` on disk, then in memory, and whether that is all; None when it cannot be read."""
        found: list[Row] = []
        if self._volume.store is not None:
            try:
                found = self._volume.store.load(priority, after, LOAD_ROWS, sorted(self._ready.parked))
            except sqlite3.Error as error:
                logs.event(log, "outbox.read-failed", level=logging.WARNING, error=error)
                self._degrade(error)
                return None
        rows = [row for row in found if row.key not in self._unapplied]
        if len(found) == LOAD_ROWS:
            return rows, False
        return rows + self._memory.after(priority, found[-1].id if found else after), True

    def _degrade(self, error: Exception) -> None:
        self.counts.faults += 1
        found = trouble.on_disk(error, self._volume.path, memory.MAX_BYTES)
        if self.trouble is None or self.trouble.code != found.code:
            logs.event(log, "outbox.degraded", level=logging.ERROR, error=found.message, remedy=found.remedy)
            self._volume.note(UNKEPT)
        self.trouble = found
        self._retry_at_ns = self._clock.monotonic_ns() + RETRY_NS
        if found.code == trouble.CORRUPT:
            self._rescue()

    def _rescue(self) -> None:
        """Hold on to the rows that are in memory: the damaged file will be set aside."""
        with self._guard:
            self._memory.keep(self._ready.in_memory())
        self._unapplied.clear()
        self.pending = len(self._memory)

    def _recover(self) -> None:
        """Try to write everything that waits in memory; on success the disk is in use again."""
        before = len(self._memory)
        try:
            self._reopen()
            self._write_back()
        except (sqlite3.Error, OSError, DeviceError) as error:
            self._degrade(error)
            self._volume.read_what_is_there()
            return
        logs.event(log, "outbox.recovered", written=before - len(self._memory), waited=before)
        self.trouble = None
        self._volume.note(KEPT)
        self.refill()

    def _reopen(self) -> None:
        """Get a connection that may work: the old one does when the disk was only full."""
        code = self.trouble.code if self.trouble else ""
        if code == trouble.CORRUPT:
            self._volume.open(known=self._adopted, damaged="its pages do not fit together")
            self._adopted = True
        elif code != trouble.FULL or self._volume.store is None or self._volume.store.read_only:
            self._volume.open(known=self._adopted)

    def _write_back(self) -> None:
        """Write the numbers first, then the rows one by one: memory may hold more than the file's bound and its WAL."""
        if (store := self._volume.store) is None:  # volume.open either sets it or raises
            return
        if not self._adopted:
            self._adopt_late(store)
        store.apply(Change((), self._unapplied, self._numbers.reserved(), self.losses.gaps, self._numbers.base))
        self._unapplied.clear()
        # After the deletions: what was sent meanwhile may have made the room that the disk does not have.
        store.check_disk()
        for row in self._memory.rows():
            self.beat()
            # What the disk has no room for yet waits here, and costs no other row its place.
            store.check_disk(cost(row))
            if self._make_room(row, store):
                store.apply(Change((row,)))
                self._memory.pop(row.key)
                self._tell_commit(row)
            elif self._release(row):
                self._memory.pop(row.key)
                self.pending -= 1
                self._lose([(row.stream, row.seq)], "outbox-full", [row])
        self._room = 0

    # -- opening

    def _start(self) -> None:
        try:
            self._volume.open(known=False)
        except (sqlite3.Error, OSError) as error:
            self._degrade(error)
            self._volume.read_what_is_there()
        try:
            self._adopt(self._volume.store)
        except sqlite3.Error as error:
            self._degrade(error)
            self._adopt(None)
        if self.trouble is not None or self._volume.is_unkept:
            self._leap()
        self.refill()

    def _leap(self) -> None:
        """Go on far above every number: those that are given from memory alone are forgotten by a restart, and none is given twice."""
        self._numbers.leap(self._clock.wall_ns() // NS_PER_MS, self._clock.monotonic_ns() // NS_PER_MS)
        self._skip()
        if self.trouble is None:
            numbers, gaps = self._numbers, self.losses.gaps
            self._change(Change(numbers=numbers.last, gaps=gaps, base=numbers.base), "skip numbers")
        if self.trouble is None:
            self._volume.note(KEPT)

    def _skip(self) -> None:
        self.losses.skip(self._numbers.pass_by(), self._numbers.base, self._clock.monotonic_ns())

    def _adopt(self, store: Store | None) -> None:
        """Go on where the file's last user stopped; blind, with ids above whatever an unreadable file may hold."""
        if store is None:
            # A millisecond's ids are a million: those of an earlier blind run may lie in the file still.
            self._next_id = [max(BLIND_ID, self._clock.wall_ns() // NS_PER_MS << 20)] * PRIORITIES
            return
        gaps, bounds = store.gaps(), list(map(store.bounds, range(PRIORITIES)))
        self._numbers.adopt(store.numbers(), store.fact("base"))
        self.losses.adopt(gaps, self._clock.monotonic_ns())
        for priority, (first, last, highest) in enumerate(bounds):
            self._next_id[priority] = highest + 1
            self.pending += last - first + 1 if last else 0
            if last:
                self._ready.spill(priority)
        self.committed = dict(self._numbers.last)
        self._adopted = True

    def _adopt_late(self, store: Store) -> None:
        """Join a file that could not even be read at the start: its rows are older than everything in memory."""
        gaps, before, base = store.gaps(), store.numbers(), store.fact("base")
        self.pending += sum(last - first + 1 for first, last, _ in map(store.bounds, range(PRIORITIES)) if last)
        self.losses.adopt(gaps, self._clock.monotonic_ns())
        self._numbers.adopt(before, base)
        # The run before may have given more numbers than the file holds, of streams that have none here yet, too.
        self._numbers.rise()
        self._skip()
        self._adopted = True
        with self._guard:
            self._ready.reload()
