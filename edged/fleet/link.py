"""The way to the fleet: one thread that keeps an MQTT session, empties the outbox into it and hands on what comes in."""

from __future__ import annotations

import json
import logging
import math
import os
import queue
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from edged.domain.errors import DeviceError
from edged.domain.message import Draft
from edged.domain.ports import Clock
from edged.fleet import refusal, topics
from edged.fleet.backoff import Retry
from edged.fleet.oversize import Oversize
from edged.fleet.ready import Key, Row
from edged.fleet.refusal import Refusal
from edged.fleet.session import MQTT5, MQTT311, Hooks, Inbound, Session
from edged.fleet.settings import LinkSettings
from edged.fleet.trouble import Trouble
from edged.telemetry import logs

log = logging.getLogger(__name__)

TICK_S = 0.5
"""The longest sleep: keepalive and the heartbeat need no finer time, everything else wakes the thread."""
PROMISE_S = 5.0
"""How long the thread may be silent between two steps before the watchdog worries."""
CONNECT_PROMISE_S = 90.0
"""And while it connects: a dead name server alone takes the resolver 30 s and more, and a restart would cure nothing."""
CONNACK_S = 2.0
"""How long a first CONNECT may stay unanswered, doubled up to CONNACK_MOST_S after each that did.

amqtt reads the properties of an MQTT 5 CONNECT as 3.1.1 and waits for more, for ever: 3.1.1 is tried as soon as that is clear.
"""
CONNACK_MOST_S = 30.0
DENIED_RETRY_S = 300.0
"""How often a stream is tried again that the broker's access rules forbid: each try costs a window of refusals."""
TAKEN_OVER_TOLD_S = 900.0
"""How long another client of the same id stays a reason after the last time: three turns of the slow lane that both wait in."""
BESIDE = 16
"""Messages that may wait outside of the device's own topics: the newest count."""

Phase = Literal["stopped", "connecting", "online", "waiting"]


class Queue(Protocol):
    """What the link asks of the outbox; edged.fleet.outbox.Outbox is one."""

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        """Queue a document of the link's own."""

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything that was put has its number."""

    def numbered(self, stream: str) -> int:
        """Give the last number of a stream."""

    def pending(self) -> int:
        """How many documents wait for their acknowledgement."""

    def claim(self, limit: int) -> list[Row]:
        """Take documents to send."""

    def ack(self, keys: Iterable[Key]) -> None:
        """Delete what was acknowledged."""

    def refuse(self, key: Key, reason: str) -> None:
        """Declare lost what the broker will never take."""

    def park(self, row: Row) -> None:
        """Set a stream aside that the broker takes nothing of now."""

    def unpark(self) -> None:
        """Send what was set aside again."""

    def give_back(self) -> None:
        """Take back what was claimed and not acknowledged."""

    def on_ready(self, callback: Callable[[], None] | None) -> None:
        """Name who is woken when there is something to claim."""


@dataclass(frozen=True, slots=True)
class LinkState:
    """``protocol`` is 5 or 4 (3.1.1) and counts once online. ``trouble`` is why it is not online, or what is amiss though it is."""

    phase: Phase
    protocol: int
    trouble: Trouble | None = None
    retry_s: float | None = None


class Link:
    """Starts and stops once. ``on_message`` is called on a thread of its own, ``on_state`` on the link's; both may raise.

    ``password`` gives the password of ``settings`` before each connection: its file may come late, and be replaced. A DeviceError of
    its is a connection that failed.
    """

    def __init__(
        self,
        settings: LinkSettings,
        outbox: Queue,
        clock: Clock,
        on_message: Callable[[Inbound], None],
        on_state: Callable[[LinkState], None] = lambda _state: None,
        *,
        boot_id: str | None = None,
        jitter: Callable[[], float] = random.random,
        password: Callable[[], str | None] | None = None,
    ) -> None:
        self._settings, self._outbox, self._clock, self._password = settings, outbox, clock, password
        self._on_message, self._on_state = on_message, on_state
        self._stamper = topics.Stamper(boot_id if boot_id is not None else topics.kernel_boot_id(), clock)
        self._retry = Retry(settings.backoff, jitter)
        self._protocol = settings.protocol
        self.state = LinkState("stopped", settings.protocol)
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not in stop: who wakes it a last time must not meet another's file under this number.
        weakref.finalize(self, os.close, self._wake_fd).atexit = False
        self._asleep, self._stopping = False, threading.Event()
        self._stopped_at_s = self._stop_by_s = 0.0
        self._farewell: int | None = None
        self._patience_s = CONNACK_S
        self._inbox: queue.Queue[Inbound | None] = queue.Queue(settings.inbox)
        self._beside: deque[tuple[str, bytes]] = deque(maxlen=BESIDE)
        self._promised_ns = clock.monotonic_ns()
        self._status_acknowledged, self._taken_over_s = 0, -math.inf
        self._oversize = Oversize(settings.where)
        self._denied: frozenset[str] = frozenset()
        self._denied_until_s: float | None = None
        self.connections = self.faults = self.inbound_dropped = 0
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)
        self._handler = threading.Thread(target=self._handle, name="link-inbox", daemon=True)

    # -- for its owner

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._outbox.on_ready(self._wake)
        self._handler.start()
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Send what is left as far as the time goes, say ``offline``, disconnect. May be called twice."""
        self._stopped_at_s = time.monotonic()
        self._stop_by_s = self._stopped_at_s + timeout_s
        self._stopping.set()
        os.eventfd_write(self._wake_fd, 1)
        if self._thread.ident is not None:
            # While it connects it hears of nothing, and has nobody to deliver to.
            self._thread.join((timeout_s if self.state.phase == "online" else 0.0) + 0.5)
        self._outbox.on_ready(None)

    def send_beside(self, topic: str, payload: bytes) -> None:
        """Publish retained what is none of the device's documents. Nobody acknowledges it: say it again at the next connection."""
        self._beside.append((topic, payload))
        self._wake()

    @property
    def heartbeat_ns(self) -> int:
        """Until when, on the monotonic clock, the thread may be silent; it is stuck when this lies in the past."""
        return self._promised_ns

    @property
    def died(self) -> bool:
        """Whether the thread has ended without being asked to."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs and keeps its promises."""
        return self._thread.is_alive() and self._clock.monotonic_ns() <= self._promised_ns

    def troubles(self) -> tuple[Trouble, ...]:
        """Why it is not online, or what is amiss though it is."""
        denied, trouble, where = self._denied, self.state.trouble, self._settings.where
        found = self._oversize.troubles(trouble, time.monotonic())
        # Told once it is online again, too: while it was not, nobody could hear of it.
        was_taken_over = time.monotonic() - self._taken_over_s < TAKEN_OVER_TOLD_S
        if was_taken_over and (trouble is None or trouble.code != refusal.TAKEN_OVER_CODE):
            found.append(refusal.taken_over(where))
        if denied:
            found.append(refusal.denied(denied, where))
        return tuple(found)

    def __repr__(self) -> str:
        state = self.state
        version = "5" if state.protocol == MQTT5 else "3.1.1"
        why = f", {state.trouble.code}: {state.trouble.message}" if state.trouble else ""
        retry = f", next try in {state.retry_s:.1f} s" if state.retry_s is not None else ""
        return (
            f"<Link {self._settings.device} to {self._settings.where}: {state.phase}, MQTT {version}, "
            f"connection {self.connections}, {self._outbox.pending()} pending{why}{retry}>"
        )

    # -- the link's thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            ended, online_s = self._converse()
            if self._stopping.is_set():
                break
            if ended.trouble.code == refusal.TAKEN_OVER_CODE:
                self._taken_over_s = time.monotonic()
            before, self._protocol = self._protocol, self._next_protocol(ended, online_s)
            if before == MQTT5 and self._protocol == MQTT311:
                continue
            wait_s = self._retry.after(online_s, slow=ended.slow)
            told = {"error": ended.trouble.message, "remedy": ended.trouble.remedy, "next_try_s": round(wait_s, 1)}
            logs.event(log, "link.down", level=logging.WARNING, **told)
            self._become(LinkState("waiting", self._protocol, ended.trouble, wait_s))
            self._promise(wait_s + PROMISE_S)
            self._stopping.wait(wait_s)
        self._become(LinkState("stopped", self._protocol))
        self._inbox_put(None)

    def _converse(self) -> tuple[Refusal, float]:
        """Hold one session to its end; gives why it ended and for how many seconds it was online."""
        refuse = self._outbox.refuse
        hooks = Hooks(
            self._inbox_put, self._settle, lambda row, why: refuse(row.key, why), self._lose, self._deny, self._fault
        )
        self._become(LinkState("connecting", self._protocol, self.state.trouble))
        try:
            session = Session(self._settings_now(), self._protocol, self._will(), hooks)
        except DeviceError as error:
            return refusal.without_secret(error), 0.0
        self._promise(CONNECT_PROMISE_S)
        online_since = None
        try:
            session.open()
            since = time.monotonic()
            while session.ended is None and not self._is_over(online=online_since is not None):
                self._promise(PROMISE_S)
                if online_since is None and session.subscribed:
                    online_since = time.monotonic()
                    self._greet(session.subscription)
                if online_since is None and time.monotonic() - since > self._patience_s:
                    session.ended = refusal.silent(self._settings.where, self._patience_s)
                    self._patience_s = min(CONNACK_MOST_S, self._patience_s * 2)
                self._pump(session)
        finally:
            session.close(with_will=self._stopping.is_set() and not self._said_goodbye())
            self._outbox.give_back()
        ended = session.ended or refusal.silent(self._settings.where, self._patience_s)
        return ended, 0.0 if online_since is None else time.monotonic() - online_since

    def _settings_now(self) -> LinkSettings:
        return self._settings if self._password is None else replace(self._settings, password=self._password())

    def _pump(self, session: Session) -> None:
        """Send what there is room for, then wait for the broker or the outbox."""
        timeout_s = TICK_S
        self._try_denied()
        room = session.room
        if room:
            # Set before looking: whatever is committed after this look wakes the wait below.
            self._asleep = True
            while self._beside:
                session.send_beside(*self._beside.popleft())
            rows = self._outbox.claim(room)
            for row in rows:
                session.send(row)
            if len(rows) == room and session.room:
                timeout_s = 0.0
        session.wait(self._wake_fd, timeout_s)
        self._asleep = False

    def _greet(self, subscription: Refusal | None) -> None:
        self.connections += 1
        self._patience_s = CONNACK_S
        trouble = subscription.trouble if subscription else None
        self._put_status("online")
        # Another connection may be under other rules.
        self._denied_until_s = 0.0 if self._denied else None
        self._become(LinkState("online", self._protocol, trouble))

    def _is_over(self, *, online: bool) -> bool:
        """While it stops: whether there is nothing left to do, or no time to do it in."""
        if not self._stopping.is_set():
            return False
        now = time.monotonic()
        if not online or now >= self._stop_by_s:
            return True
        half = (self._stopped_at_s + self._stop_by_s) / 2
        delivered = self._outbox.flush(0.0) and self._outbox.pending() == 0
        if self._farewell is None and (delivered or now >= half):
            self._put_status("offline")
            self._outbox.flush(max(0.0, self._stop_by_s - now))
            self._farewell = self._outbox.numbered(topics.STATUS)
        return self._said_goodbye()

    def _said_goodbye(self) -> bool:
        return self._farewell is not None and self._status_acknowledged >= self._farewell

    def _next_protocol(self, ended: Refusal, online_s: float) -> int:
        """MQTT 5 first; the other one when the broker refuses a protocol, or hangs up on CONNECT without a word."""
        if ended.other_protocol and online_s == 0.0:
            return MQTT311 if self._protocol == MQTT5 else MQTT5
        return self._protocol

    # -- documents of the link's own

    def _put_status(self, state: str) -> None:
        body = {"schema": "edged.status/1", **self._stamper.now(), "state": state}
        self._outbox.put(Draft(topics.STATUS, body, retain=True, priority=0), wait_s=1.0)

    def _will(self) -> bytes:
        body = {"schema": "edged.status/1", "device": self._settings.device, **self._stamper.now()}
        return json.dumps(body | {"state": "offline", "reason": "connection-lost"}, separators=(",", ":")).encode()

    # -- what the session and the outbox say

    def _settle(self, rows: Sequence[Row]) -> None:
        self._outbox.ack([row.key for row in rows])
        self._oversize.passed(rows)
        if self._denied:
            # A stream counts as denied until a document of it has passed: health shall not flicker at each try.
            self._denied -= {row.stream for row in rows}
        for row in rows:
            if row.stream == topics.STATUS:
                self._status_acknowledged = row.seq

    def _lose(self, row: Row, size: int, limit: int | None) -> None:
        self._oversize.add(row, size, limit, time.monotonic())
        self._outbox.refuse(row.key, refusal.PACKET_LIMIT)

    def _deny(self, row: Row) -> None:
        if row.stream not in self._denied:
            self._denied |= {row.stream}
            logs.event(log, "link.denied", level=logging.WARNING, stream=row.stream)
        if self._denied_until_s is None:
            self._denied_until_s = time.monotonic() + DENIED_RETRY_S
        self._outbox.park(row)

    def _try_denied(self) -> None:
        if self._denied_until_s is not None and time.monotonic() >= self._denied_until_s:
            self._denied_until_s = None
            self._outbox.unpark()

    def _fault(self, where: str) -> None:
        self.faults += 1
        logs.event(log, "link.broken", level=logging.ERROR, where=where)

    def _wake(self) -> None:
        if self._asleep:
            self._asleep = False
            os.eventfd_write(self._wake_fd, 1)

    def _become(self, state: LinkState) -> None:
        if state == self.state:
            return
        self.state = state
        try:
            self._on_state(state)
        except Exception:  # whoever listens must not end the link's thread
            self.faults += 1
            log.exception("link.untold")

    def _promise(self, seconds: float) -> None:
        self._promised_ns = self._clock.monotonic_ns() + int(seconds * 1e9)

    # -- what comes in

    def _inbox_put(self, message: Inbound | None) -> None:
        try:
            self._inbox.put_nowait(message)
        except queue.Full:
            self.inbound_dropped += 1
            # Told when the count doubles: a flood of messages must not become a flood of lines.
            if self.inbound_dropped & (self.inbound_dropped - 1) == 0:
                dropped = self.inbound_dropped
                logs.event(log, "inbound.dropped", level=logging.WARNING, dropped=dropped, waiting=self._inbox.qsize())

    def _handle(self) -> None:
        while True:
            try:
                message = self._inbox.get(timeout=TICK_S)
            except queue.Empty:
                if self._stopping.is_set() and not self._thread.is_alive():
                    return
                continue
            if message is None:
                return
            try:
                self._on_message(message)
            except Exception:  # a message that its handler cannot bear must not end the thread
                self.faults += 1
                log.exception("inbound.broken", extra={logs.FIELDS: {"topic": message.topic}})
