"""The durable queue under the link. What was committed here leaves only when the broker acknowledged it, or is declared lost."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.domain.message import Draft
from edged.domain.ports import Clock
from edged.fleet import topics
from edged.fleet.ages import oldest_age_s
from edged.fleet.durable import Flusher
from edged.fleet.ready import PRIORITIES, Key, Ready, Row
from edged.fleet.stalls import Stalls
from edged.fleet.trouble import Trouble
from edged.fleet.volume import Volume
from edged.fleet.writer import Writer

log = logging.getLogger(__name__)

INBOX = 1024
"""Drafts that may wait for the writer: a third of a second at its full speed."""
TELEMETRY_INBOX = INBOX * 3 // 4
"""Telemetry is refused earlier, so that it never costs an event its place."""
ACK_BATCH = 64
"""Acknowledged rows are deleted together, or when the writer wakes the next time: deleting late costs a duplicate after a kill, never
a loss, and waking the writer for each one would cost a transaction more a document."""
ACK_DELAY_S = 0.1
DRAFTS_A_STEP = 32
LINGER_S = 0.002
"""How long the writer looks away between drafts that come fast: waking a thread costs both sides some 15 us, and the interpreter's lock.
4 ms spare another tenth of a document's processor time, and would make it older than the 3 ms that half of them may take in all."""
ASIDE_S = 0.0004
"""How long the writer stays aside after the put that woke it: who put goes on to the next inference, where it needs no interpreter's lock.
At once, the two would take that lock from each other while the next frame is prepared, which costs a large network 1 % of its frames."""
HEARTBEAT_S = 1.0
"""How long the writer sleeps at most, so that the watchdog can tell sleep from death."""


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Counts since the start, and what lies there now (``pending`` documents, ``disk_bytes`` with the WAL)."""

    pending: int
    disk_bytes: int
    inbox: int
    in_flight: int
    committed: int
    acknowledged: int
    evicted: int
    rejected: int
    unstored: int
    faults: int
    express_dropped: int
    dropped: Mapping[str, int]
    evicted_by_stream: Mapping[str, int]
    oldest_age_s: float | None = None
    """Since the oldest document that waits was captured or written; None when none does, or no clock can tell."""


class Outbox:
    """Implements edged.domain.ports.Outbox; thread-safe. One writer thread owns the file, on one connection.

    ``put`` hands a draft to the writer. The writer commits it in a transaction of its own: from there on
    (``committed``, ``on_commit``) it survives the end of this process, and from the next flush on (``durable``, at most
    about 100 ms later) a power cut. Only rows of QoS 1 are kept; QoS 0 goes round the disk with a number and is dropped
    while there is no link.

    A stream belongs to one priority: across priorities the more urgent overtakes. Retained documents are ordinary rows;
    an older one that was not sent is not replaced, since its number would be missing.
    """

    def __init__(
        self,
        path: Path,
        writer: Callable[[Ready, threading.Lock], Writer],
        *,
        clock: Clock,
        inbox: int = INBOX,
        boot_id: str = "",
    ) -> None:
        self.path, self._boot_id = path, boot_id
        self._clock, self._limit = clock, inbox
        self._telemetry_limit = inbox * TELEMETRY_INBOX // INBOX
        self._lock = threading.Lock()
        # Never set. Not time.sleep: under a clock that tests move it refuses to sleep, which would end the writer's thread.
        self._pause = threading.Event()
        self._work = threading.Condition(self._lock)
        self._space = threading.Condition(self._lock)
        self._quiet = threading.Condition(self._lock)
        self._inbox: deque[Draft] = deque()
        self._settled: list[Key] = []
        self._refused: list[tuple[Row, str]] = []
        self._dropped: Counter[str] = Counter()
        self._closing = self._wants_refill = self._wants_unpark = self._busy = False
        self._ready_lock = threading.Lock()
        self._ready = Ready()
        self._on_ready: Callable[[], None] | None = None
        self._writer = writer(self._ready, self._ready_lock)
        self._stalls = Stalls(path)
        self._writer.beat = self._beat
        self._flusher = Flusher(Path(f"{path}-wal"), lambda: self._writer.committed, clock.monotonic_ns, self._stalls)
        self.heartbeat_ns = clock.monotonic_ns()
        self._took_ns = 0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        device: str,
        clock: Clock,
        max_bytes: int,
        boot_id: str | None = None,
        on_commit: Callable[[str, int], None] | None = None,
    ) -> Outbox:
        """Open or make the queue at ``path``, of at most ``max_bytes`` on disk with its WAL (1 MiB at least).

        A disk that takes nothing is no error: the queue then lives in bounded memory, says so in ``health`` and tries
        again. ``on_commit(stream, seq)`` is called on the writer's thread, in order, after each commit.

        Raises:
            DeviceError: another process holds the file.
        """
        stamper = topics.Stamper(boot_id if boot_id is not None else topics.kernel_boot_id(), clock)

        def writer(ready: Ready, guard: threading.Lock) -> Writer:
            volume = Volume(path, max_bytes=max_bytes, clock=clock)
            return Writer(
                volume, device=device, stamper=stamper, clock=clock, ready=ready, guard=guard, on_commit=on_commit
            )

        return cls(path, writer, clock=clock, boot_id=stamper.boot_id)

    # -- for those who send

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        """Hand a document to the writer; False when its inbox stayed full for ``wait_s`` (counted as a drop)."""
        limit = self._limit if draft.lane == "event" else self._telemetry_limit
        with self._lock:
            if len(self._inbox) >= limit and wait_s > 0:
                self._space.wait_for(lambda: len(self._inbox) < limit or self._closing, wait_s)
            if len(self._inbox) >= limit or self._closing:
                self._dropped[draft.lane] += 1
                return False
            self._inbox.append(draft)
            self._work.notify()
        return True

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything that was put is committed; False when that took longer."""
        with self._lock:
            return self._quiet.wait_for(lambda: not self._inbox and not self._busy, timeout_s)

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything that was put is acknowledged; False when that took longer."""
        with self._lock:
            return self._quiet.wait_for(lambda: not self._inbox and not self._busy and self.pending() == 0, timeout_s)

    # -- for the link

    def on_ready(self, callback: Callable[[], None] | None) -> None:
        """Name who is woken when there is something to claim; called on the writer's thread."""
        self._on_ready = callback

    def claim(self, limit: int) -> list[Row]:
        """Take at most ``limit`` documents, the most urgent first; QoS 1 rows stay in the queue until ``ack``."""
        with self._ready_lock:
            rows = self._ready.take(limit)
            refill = any(self._ready.wants(priority) is not None for priority in range(PRIORITIES))
        if refill:
            with self._lock:
                self._wants_refill = True
                self._work.notify()
        return rows

    def ack(self, keys: Iterable[Key]) -> None:
        """Delete what the broker acknowledged. Keys that were not claimed are ignored."""
        with self._ready_lock:
            settled = [key for key in keys if self._ready.settle(key) is not None]
        if settled:
            with self._lock:
                self._settled.extend(settled)
                if len(self._settled) >= ACK_BATCH:
                    self._work.notify()
                if self.pending() == 0:
                    self._quiet.notify_all()

    def refuse(self, key: Key, reason: str) -> None:
        """Give up a claimed document that the broker will never take: it is counted and declared as a gap."""
        with self._ready_lock:
            row = self._ready.settle(key)
        if row is not None:
            with self._lock:
                self._refused.append((row, reason))
                self._work.notify()

    def park(self, row: Row) -> None:
        """Set the stream of a claimed document aside, and the document with it: the broker takes none of it now.

        It stays in the queue; every other stream goes on. When room is needed, what is set aside goes first.
        """
        with self._ready_lock:
            if row.stream not in self._ready.parked:
                self._ready.park(row.stream)
            self._ready.hold(row.key)

    def unpark(self) -> None:
        """Send what was set aside again."""
        with self._lock:
            self._wants_unpark = True
            self._work.notify()

    def give_back(self) -> None:
        """Put everything that was claimed and not acknowledged back: the connection is gone. QoS 0 rows are dropped."""
        with self._ready_lock:
            self._ready.give_back()

    # -- what there is to know

    def pending(self) -> int:
        """How many committed documents wait for their acknowledgement (about: exact after a clean start)."""
        return max(0, self._writer.pending - len(self._settled))

    def committed(self, stream: str) -> int:
        """Give the last number of a stream that survives a kill; 0 for none."""
        return self._writer.committed.get(stream, 0)

    def numbered(self, stream: str) -> int:
        """Give the last number of a stream, committed or not; 0 for none."""
        return self._writer.number(stream)

    def durable(self, stream: str) -> int:
        """Give the last number of a stream that survives a power cut; 0 for none since the start."""
        return self._flusher.durable.get(stream, 0)

    def health(self) -> tuple[Trouble, ...]:
        """What is wrong now, what was lost lately, and what was found at the start."""
        now, now_ns = (self._writer.trouble,) if self._writer.trouble else (), self._clock.monotonic_ns()
        lately = (*self._stalls.troubles(now_ns), *self._writer.rejections.troubles(now_ns))
        return (*now, *lately, *self._writer.incidents)

    def stats(self) -> OutboxStats:
        """Count."""
        counts = self._writer.counts
        with self._ready_lock:
            oldest = self._ready.oldest()
        return OutboxStats(
            pending=self.pending(),
            disk_bytes=self._writer.disk_bytes(),
            inbox=len(self._inbox),
            in_flight=self._ready.taken,
            committed=counts.committed,
            acknowledged=counts.acknowledged,
            evicted=sum(self._writer.losses.by_stream.values()),
            rejected=counts.rejected,
            unstored=counts.unstored,
            faults=counts.faults,
            express_dropped=self._ready.express_dropped,
            dropped=dict(self._dropped),
            evicted_by_stream=dict(self._writer.losses.by_stream),
            oldest_age_s=oldest_age_s(oldest, self._boot_id, self._clock),
        )

    @property
    def alive(self) -> bool:
        """Whether the writer's thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Commit what was put, stop the thread, close the file. May be called twice; later puts are dropped."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
            self._space.notify_all()
        self._thread.join(timeout=10.0)
        self._flusher.close()

    def __repr__(self) -> str:
        trouble = self._writer.trouble
        state = trouble.code if trouble else "on disk"
        return (
            f"<Outbox {self.path.name}: {state}, {self.pending()} pending, {self._ready.taken} in flight, "
            f"{sum(self._writer.losses.by_stream.values())} evicted, {sum(self._dropped.values())} dropped>"
        )

    # -- the writer's thread

    def _run(self) -> None:
        while True:
            drafts, settled, refused, closing = self._next()
            self._stalls.begin(self._clock.monotonic_ns())
            try:
                self._step(drafts, settled, refused)
            except Exception:  # the supervisor of this thread: a fault here must not end the queue
                self._writer.counts.faults += 1
                log.exception("outbox.broken")
            self.heartbeat_ns = self._clock.monotonic_ns()
            self._stalls.end(self.heartbeat_ns)
            with self._lock:
                self._busy = False
                self._space.notify_all()
                self._quiet.notify_all()
                if closing and not self._inbox:
                    break
            if drafts and self._more_will_follow():
                self._pause.wait(LINGER_S)
        self._writer.close()

    def _beat(self) -> None:
        """A step goes on: what was kept in memory is written back row by row, which may take long in all."""
        self.heartbeat_ns = self._clock.monotonic_ns()
        self._stalls.begin(self.heartbeat_ns)

    def _more_will_follow(self) -> bool:
        """Whether drafts come so fast that it pays to take the next ones together; those that wait already are taken at once."""
        before_ns, self._took_ns = self._took_ns, self.heartbeat_ns
        return self.heartbeat_ns - before_ns < 2 * LINGER_S * 1e9 and not self._inbox

    def _next(self) -> tuple[list[Draft], list[Key], list[tuple[Row, str]], bool]:
        """Sleep until there is work; take a few drafts at a time, so that the inbox's bound is the writer's real backlog."""
        if self._was_woken_by_put():
            self._pause.wait(ASIDE_S)
        with self._lock:
            drafts = [self._inbox.popleft() for _ in range(min(len(self._inbox), DRAFTS_A_STEP))]
            self._busy = True
            settled: list[Key] = []
            if len(self._settled) >= ACK_BATCH or not drafts or self._closing:
                settled, self._settled = self._settled, []
            refused, self._refused = self._refused, []
            self._wants_refill = False
            return drafts, settled, refused, self._closing

    def _was_woken_by_put(self) -> bool:
        """Sleep until there is work; whether that was a draft, and nothing lay here before."""
        with self._lock:
            if self._inbox or self._closing or self._wants_refill or self._wants_unpark or self._refused:
                return False
            self._work.wait(self._sleep_s())
            return bool(self._inbox)

    def _sleep_s(self) -> float:
        if self._settled:
            return ACK_DELAY_S
        due_ns = self._writer.due_ns()
        return (
            HEARTBEAT_S if due_ns is None else min(HEARTBEAT_S, max(0.0, (due_ns - self._clock.monotonic_ns()) / 1e9))
        )

    def _step(self, drafts: list[Draft], settled: list[Key], refused: list[tuple[Row, str]]) -> None:
        for draft in drafts:
            self._writer.take(draft)
            if draft.lane == "event" and draft.qos:
                self._flusher.request()
        if settled:
            self._writer.settle(settled)
        for row, reason in refused:
            self._writer.refuse(row, reason)
        if self._wants_unpark:
            self._wants_unpark = False
            with self._ready_lock:
                self._ready.unpark()
        self._writer.refill()
        self._writer.tick()
        self._tell()

    def _tell(self) -> None:
        if self._on_ready is not None and len(self._ready):
            self._on_ready()
