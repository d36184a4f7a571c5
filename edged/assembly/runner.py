"""One configured action at work: a thread, a queue, and a line in the audit log for all that it does."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.side_part import SidePart
from edged.config.actions import Action, GpioAction, Interlock
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.sinks.actuate import Actuator, Guard, source_of
from edged.telemetry import logs

WAITING = 64
"""Events that may wait for an action; what comes on top is left out, and told."""
RECENT_NS = 600_000_000_000
"""How long a failure or a refusal is worth a reason in health."""
AGAIN_S = 1.0
"""When a line that did not follow is set again."""
LEAST_S = 0.05
"""What an output gets to become inactive, also behind parts that hang: it takes a thousandth of that."""
LEFT_OUT = "left-out"

_LOG = logging.getLogger("edged.action")

Document = dict[str, Any]
Opens = Callable[[Action, threading.Event], Actuator]


class Runner(SidePart):
    """A part of the daemon: one action of its configuration."""

    def __init__(
        self,
        settings: Action,
        opens: Opens,
        note: Callable[..., None],
        clock: Clock,
        before: Runner | None = None,
    ) -> None:
        """``before`` had the action until the configuration changed: what was not done yet is done here."""
        super().__init__(f"edged-act-{settings.name}")
        self._settings, self._opens, self._note, self._clock, self._before = settings, opens, note, clock, before
        self._lasts = isinstance(settings, GpioAction) and settings.hold_s is None
        self._guard = Guard(getattr(settings, "on", ("start",)), settings.at_most_per_min, lasts=self._lasts)
        self._is_held = isinstance(settings, GpioAction) and not settings.dry_run
        self._actuator: Actuator | None = None
        self._again_s: float | None = None
        self._inbox: queue.Queue[Document | None] = queue.Queue(WAITING)
        self._overdue: dict[tuple[str, str], Document] = {}
        self._ending = threading.Event()
        self._troubles: dict[str, tuple[int, int, str]] = {}
        self._refused = ""

    def __repr__(self) -> str:
        return f"<Runner {self._settings.name}: {self._settings.kind}, {self._inbox.qsize()} waiting>"

    def start(self) -> None:
        """Begin to listen."""
        for document in self._before.left() if self._before is not None else ():
            self.hear(document)
        self._before = None
        super().start()

    def hear(self, document: Document) -> None:
        """Keep an event for the thread; left out when too many wait, but for the end of what lasts."""
        try:
            self._inbox.put_nowait(document)
        except queue.Full:
            if self._lasts and document["phase"] == "end":
                self._overdue[source_of(document)] = document
            else:
                self._trouble(LEFT_OUT, f"{WAITING} events waited for it")

    def left(self) -> Iterator[Document]:
        """Give what was heard and is not done any more; nothing while the thread is still at it."""
        with suppress(queue.Empty):
            while self._thread is None or not self._thread.is_alive():
                document = self._inbox.get_nowait()
                if document is not None:
                    yield document

    def stop(self) -> None:
        """Wait for nothing any more; what pipelines say while they stop is still heard."""
        super().stop()

    def join(self, timeout_s: float) -> bool:
        """Do what waits, leave the world as it shall be without edged, and end."""
        if self._thread is None:
            return True
        self._ending.set()
        with suppress(queue.Full):  # one that has so much to do sees it without being woken
            self._inbox.put_nowait(None)
        return super().join(max(timeout_s, LEAST_S) if isinstance(self._settings, GpioAction) else timeout_s)

    def reasons(self) -> tuple[Reason, ...]:
        """Say what was not done lately, and why."""
        now_ns, name = self._clock.monotonic_ns(), self._settings.name
        return tuple(
            Reason(
                f"action-{code}", name, f"{times} times, lately: {why}", since_ns, "edgectl audit --actions shows each"
            )
            for code, (times, since_ns, why) in sorted(dict(self._troubles).items())
            if now_ns - since_ns < RECENT_NS
        )

    def _run(self) -> None:
        self._tried(self._tick)
        while not (self._ending.is_set() and self._inbox.empty()):
            document = self._next()
            if document is not None:
                self._tried(partial(self._about, document))
            self._tried(self._tick)
        self._tried(self._close)

    def _next(self) -> Document | None:
        """Give the next event; None when it is time for something else."""
        if self._overdue and self._inbox.empty():
            return self._overdue.popitem()[1]
        with suppress(queue.Empty):
            return self._inbox.get(timeout=self._again_s)
        return None

    def _about(self, document: Document) -> None:
        verdict = self._guard.judge(document, self._clock.monotonic_ns(), self._hindrance)
        if verdict.answer == "leave":
            return
        if verdict.answer == "refuse":
            # The first of its kind alone: a flood of refusals would push out of the log what was done.
            if verdict.code != self._refused:
                self._told("refused", document, verdict.why)
            self._refused = verdict.code
            self._trouble(verdict.code, verdict.why)
            return
        self._refused = ""
        if self._settings.dry_run:
            self._told("would-do", document)
            return
        # Before it is done: what a command does to the box may end edged, too.
        self._told("does", document)
        if why := self._tried(lambda: self._opened().do(document)):
            self._told("failed", document, why)
            logs.event(_LOG, "action.failed", level=logging.WARNING, action=self._settings.name, why=why)

    def _opened(self) -> Actuator:
        if self._actuator is None:
            self._actuator = self._opens(self._settings, self._stop)
        return self._actuator

    def _tick(self) -> None:
        """Do what time asks for. An output is held, inactive, before there is any event."""
        self._again_s = AGAIN_S  # unless it goes well
        actuator = self._opened() if self._is_held else self._actuator
        self._again_s = actuator.tick() if actuator is not None else None

    def _close(self) -> None:
        if self._actuator is not None:
            self._actuator.close()

    def _tried(self, call: Callable[[], None]) -> str:
        """Give what went wrong; empty when nothing did."""
        try:
            call()
        except EdgedError as error:
            why = str(error.args[0])
        except Exception as error:  # noqa: BLE001 - one event must not cost the others their action, nor leave a lamp on
            _LOG.exception("action.broken", extra={logs.FIELDS: {"action": self._settings.name}})
            why = f"{type(error).__name__}: {error}"
        else:
            return ""
        # What a server or a program said must not steer the terminal that shows it.
        why = "".join(one if one.isprintable() else " " for one in why)
        self._trouble("failing", why)
        return why

    def _hindrance(self) -> str:
        interlock = self._settings.interlock
        return "" if interlock is None else _hindrance(interlock)

    def _trouble(self, code: str, why: str) -> None:
        times, _, _ = self._troubles.get(code, (0, 0, ""))
        self._troubles[code] = times + 1, self._clock.monotonic_ns(), why

    def _told(self, what: str, document: Document, why: str = "") -> None:
        """Write a line of the audit log; a disk that does not take it keeps no belt running."""
        about = {name: document.get(name) for name in ("pipeline", "rule", "phase", "captured_at", "frame")}
        named = {"action": self._settings.name, "kind": self._settings.kind, "what": what}
        try:
            self._note(**named, **about, **({"why": why} if why else {}))
        except (OSError, EdgedError) as error:
            self._trouble("unaudited", f"its audit log was not written: {error}")


def _hindrance(interlock: Interlock) -> str:
    """Say why an action may not begin; empty when it may."""
    if interlock.path is not None:
        try:
            interlock.path.stat()
        except OSError as error:
            is_absent = isinstance(error, FileNotFoundError)
            return f"interlock {interlock.path} {'is not there' if is_absent else f'cannot be read: {error.strerror}'}"
        return ""
    try:
        is_active = adapter("edged.sinks.relay").is_active(
            interlock.chip, interlock.line, active_low=interlock.active_low
        )
    except EdgedError as error:
        return f"its interlock cannot be read: {error.args[0]}"
    return "" if is_active else f"interlock line {interlock.line} of {interlock.chip} is not active"
