"""The daemon: what runs is brought in line with what shall run, watched, and stopped in order.

It knows only parts: things that start, stop, and say how they are. Which parts a configuration asks for is
``edged.assembly``'s business.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edged.domain.errors import EdgedError
from edged.domain.health import Grade, Reason, grade
from edged.domain.ports import Clock, Notifier
from edged.telemetry import logs

TICK_S = 0.5
"""Twice a second: the watchdog is pinged well within half of any period that a unit would set."""
STUCK_AFTER_S = 20.0
"""A part that made no step for this long hangs in native code: its heart beats once a second even when it has nothing to do."""
DEAD = -1
"""The heartbeat of a thread that has ended."""
STOP_S = 3.0
"""What parts get to finish the frames in hand; the rest of the 5 s belongs to the delivery."""
DELIVERY_S = 1.0

_LOG = logging.getLogger("edged.daemon")


class Part(Protocol):
    """Something that runs by itself: a source with its pipelines."""

    def start(self) -> None:
        """Begin; returns at once."""

    def stop(self) -> None:
        """Ask it to finish what it has in hand; returns at once."""

    def join(self, timeout_s: float) -> bool:
        """Wait until it has stopped; False when it has not in time."""

    def reload(self) -> None:
        """Look for newer models; returns at once."""

    @property
    def heartbeat_ns(self) -> int:
        """Monotonic time of the last step of its slowest thread."""

    @property
    def ended(self) -> bool:
        """Whether its source was finite and everything in it was done."""

    @property
    def working(self) -> bool:
        """Whether it gives results now."""

    def reasons(self) -> Sequence[Reason]:
        """Why it is not well; empty when it is."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part that shall run. Parts of one name whose ``settings`` are equal are the same part and keep running."""

    name: str
    settings: Any
    build: Callable[[], Part]


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall run, and what could not be planned."""

    parts: tuple[Wanted, ...]
    reasons: tuple[Reason, ...] = ()


class Office(Protocol):
    """The box's word to the fleet, and its delivery."""

    def start(self) -> None:
        """Open the connection, in the background."""

    def report(self, grade: Grade, reasons: Sequence[Reason], parts: Sequence[Part]) -> None:
        """Publish what is due now: health when it changed, telemetry at its interval."""

    def reasons(self) -> Sequence[Reason]:
        """Why reporting is not well."""

    def delivered(self) -> bool:
        """Whether nothing waits for the broker."""

    def close(self, timeout_s: float) -> None:
        """Deliver for at most this long, say good-bye and close."""

    @property
    def heartbeats(self) -> Mapping[str, int]:
        """Monotonic time of the last step of each of its threads, by name; ``DEAD`` for one that has ended without being asked to."""


class Daemon:
    """Runs until ``stop``, or until every part has ended and everything was delivered.

    ``starts_again`` says that whoever ran it was asked to start it anew.
    """

    def __init__(self, plan: Callable[[], Plan], office: Office, notifier: Notifier, clock: Clock) -> None:
        self._make_plan = plan
        self._office = office
        self._notifier = notifier
        self._clock = clock
        self._parts: dict[str, tuple[Wanted, Part]] = {}
        self._plan_reasons: tuple[Reason, ...] = ()
        self._wake = threading.Event()
        self._stopping = False
        self._reload_asked = False
        self._unreported: Reason | None = None
        self.starts_again = False

    def __repr__(self) -> str:
        return f"<Daemon {', '.join(repr(part) for _, part in self._parts.values()) or 'without parts'}>"

    def stop(self) -> None:
        """Ask the daemon to stop. Safe in a signal handler."""
        self._stopping = True
        self._wake.set()

    def restart(self) -> None:
        """Ask the daemon to stop, to be started again. Safe in a signal handler."""
        self.starts_again = True
        self.stop()

    def reload(self) -> None:
        """Ask the daemon to read its configuration and models again. Safe in a signal handler."""
        self._reload_asked = True
        self._wake.set()

    def run(self) -> None:
        """Start everything, tick until asked to stop, and stop in order."""
        try:
            self._office.start()
            if not self._stopping:
                self.reconcile(self._make_plan())
            self._notifier.notify({"READY": "1", "STATUS": self._status("starting", ())})
            while not self._stopping and not self._finished():
                self._wake.wait(TICK_S)
                self._wake.clear()
                self.tick()
        finally:
            self._shut_down()

    def tick(self) -> None:
        """Do what is due: a reload, the report, the watchdog's ping."""
        if self._reload_asked:
            self._reload_asked = False
            self._reload()
        stuck = self._stuck()
        reasons = (*self._plan_reasons, *self._office_reasons(), *self._part_reasons(), *stuck)
        parts = [part for _, part in self._parts.values()]
        health = grade(reasons, sum(part.working for part in parts))
        self._report(health, reasons, parts)
        fields = {"STATUS": self._status(health, reasons)}
        if not stuck:
            # Only an aggregate of real heartbeats feeds the watchdog: a hung call must lead to a restart.
            fields["WATCHDOG"] = "1"
        self._notifier.notify(fields)

    def reconcile(self, plan: Plan) -> None:
        """Bring what runs in line with ``plan``: stop what is gone or changed, then start what is missing."""
        wanted = {part.name: part for part in plan.parts}
        gone = [name for name, (old, _) in self._parts.items() if not _same(wanted.get(name), old)]
        self._stop_parts(gone)
        self._plan_reasons = plan.reasons
        # In the plan's order: the most important first.
        for name in [name for name in wanted if name not in self._parts]:
            part = wanted[name].build()
            self._parts[name] = (wanted[name], part)
            part.start()
            logs.event(_LOG, "part.started", part=name)
        # What stops waits in this order: pipelines that came later, too, have their last word before what listens to them ends.
        self._parts = {name: self._parts[name] for name in wanted}

    def _reload(self) -> None:
        self._notifier.notify(
            {"RELOADING": "1", "MONOTONIC_USEC": str(self._clock.monotonic_ns() // 1000), "STATUS": "reloading"}
        )
        before = [part for _, part in self._parts.values()]
        try:
            self.reconcile(self._make_plan())
        except EdgedError as error:
            # A bad configuration never replaces a good one that runs.
            self._plan_reasons = (
                Reason("reload-refused", "config", str(error), self._clock.monotonic_ns(), "mend the file and reload"),
            )
            logs.event(_LOG, "reload.refused", level=logging.ERROR, error=error)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            # Nor does a fault of edged's own, or of a disk, that only a reload meets.
            _LOG.exception("reload.broken")
            self._plan_reasons = (self._own_fault("reload-refused", error),)
        for _, part in self._parts.values():
            if part in before:
                part.reload()
        self._notifier.notify({"READY": "1"})

    def _office_reasons(self) -> list[Reason]:
        """Give the office's reasons, and why the last report failed."""
        return [*self._office.reasons(), *([self._unreported] if self._unreported else [])]

    def _report(self, health: Grade, reasons: Sequence[Reason], parts: Sequence[Part]) -> None:
        """Report; a reading or a document that fails must not end what sees and decides."""
        try:
            self._office.report(health, reasons, parts)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            fault = self._own_fault("report-failed", error)
            if self._unreported is None or self._unreported.message != fault.message:
                _LOG.exception("report.failed")
                self._unreported = fault
        else:
            self._unreported = None

    def _own_fault(self, code: str, error: Exception) -> Reason:
        message = f"met a fault of its own: {type(error).__name__}: {error}"
        return Reason(code, "edged", message, self._clock.monotonic_ns(), "report this with the log")

    def _stuck(self) -> tuple[Reason, ...]:
        now_ns = self._clock.monotonic_ns()
        beats: Mapping[str, int] = {
            **{name: part.heartbeat_ns for name, (_, part) in self._parts.items()},
            **self._office.heartbeats,
        }
        return tuple(
            Reason(
                "stuck",
                name,
                "its thread has ended" if beat == DEAD else f"made no step for {(now_ns - beat) / 1e9:.0f} s",
                beat,
                "the watchdog restarts the service",
                fatal=True,
            )
            for name, beat in beats.items()
            if beat == DEAD or now_ns - beat > STUCK_AFTER_S * 1e9
        )

    def _part_reasons(self) -> list[Reason]:
        return [reason for _, part in self._parts.values() for reason in part.reasons()]

    def _status(self, health: str, reasons: Sequence[Reason]) -> str:
        """Give the line that ``systemctl status`` shows."""
        return "; ".join([health, *(f"{reason.component}: {reason.message}" for reason in reasons[:3])])

    def _finished(self) -> bool:
        parts = [part for _, part in self._parts.values()]
        return bool(parts) and not self._plan_reasons and all(part.ended for part in parts) and self._office.delivered()

    def _shut_down(self) -> None:
        self._notifier.notify({"STOPPING": "1", "STATUS": "stopping"})
        self._stop_parts(list(self._parts))
        self._office.close(DELIVERY_S)

    def _stop_parts(self, names: Sequence[str]) -> None:
        stopping = [self._parts.pop(name)[1] for name in names]
        for part in stopping:
            try:
                part.stop()
            except Exception:  # noqa: BLE001 - the supervisor's
                # A library that cannot be closed must cost neither the other parts nor the farewell.
                _LOG.exception("part.unstopped")
        deadline_ns = self._clock.monotonic_ns() + int(STOP_S * 1e9)
        for part in stopping:
            left_s = max(0.0, (deadline_ns - self._clock.monotonic_ns()) / 1e9)
            if not part.join(left_s):
                logs.event(_LOG, "part.hangs", level=logging.ERROR, part=part)


def _same(new: Wanted | None, old: Wanted) -> bool:
    return new is not None and bool(new.settings == old.settings)
