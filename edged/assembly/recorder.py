"""Records what goes through pipelines, in a thread of its own: what it cannot take in time is counted, and costs nobody a frame."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edged.assembly.clip_ring import Ring
from edged.assembly.record_items import event_item, input_item, result_item, unseen
from edged.assembly.record_requests import Requests
from edged.assembly.roll import Around, Roll, Subject
from edged.assembly.side_part import SidePart
from edged.assembly.tap import Tap, Waiting, What
from edged.domain.errors import DeviceError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.fleet.topics import Stamper
from edged.pipeline.line import NEVER_STUCK_NS
from edged.pipeline.preroll import Item
from edged.telemetry import logs

NICE = 10
TICK_S = 1.0
RETIRE_EVERY = 60
"""Ticks between two looks for what is past its days."""
HURRY_NS = 10**9
"""So long after edged was asked to end inputs are still encoded: a daemon has three seconds for everything."""
BEHIND_NS = 60 * 10**9
"""So long after the last input that was missed it is told."""
TRIGGERS = frozenset({"start", "end"})
"""The words of an event that are worth a recording; that it goes on is none: a guest who stays all day would fill the disk."""

_LOG = logging.getLogger("edged.recordings")


@dataclass(frozen=True, slots=True)
class Tools:
    """What a recorder works with. ``readings`` gives how the box feels."""

    ring: Ring
    stamper: Stamper
    readings: Callable[[], Mapping[str, float | None]]
    lossless: bool


class Recorder(SidePart):
    """A part of the daemon. ``tap`` may be called on any thread."""

    def __init__(self, tools: Tools, clock: Clock, wanted: Sequence[str] = ()) -> None:
        """``wanted`` names the pipelines that shall be recorded; none is all."""
        super().__init__("edged-recorder")
        self._tools, self._clock, self._wanted = tools, clock, tuple(wanted)
        self._taps: dict[str, Tap] = {}
        self._rolls: dict[Tap, Roll] = {}
        self._waiting = Waiting()
        self._requests = Requests(tools.ring.folder)
        self._since_ns = clock.monotonic_ns()
        self._due_ns, self._ticks = 0, 0
        self._hurry_ns = NEVER_STUCK_NS
        self._fault: Reason | None = None
        self._behind: Reason | None = None
        self._behind_ns = 0

    def __repr__(self) -> str:
        return f"<Recorder {self._tools.ring!r}: {list(self._rolls.values())}, {len(self._waiting)} waiting>"

    def tap(self, subject: Subject, around: Around) -> Tap:
        """Give a pipeline's tap, in place of the one that it had before."""
        before = self._taps.get(subject.pipeline)
        made = Tap(subject, around, self._waiting.put)
        self._taps[subject.pipeline] = made
        if before is not None:
            self._waiting.put(before, "gone", None, 0)
        return made

    def start(self) -> None:
        """Begin; also again, after a reload that had left nothing to record."""
        self._hurry_ns, self._waiting.is_closed = NEVER_STUCK_NS, False
        super().start()

    def stop(self) -> None:
        """Nothing yet: the last events come from lines that are stopping, too."""

    def join(self, timeout_s: float) -> bool:
        """Finish what is being recorded, and end."""
        self._hurry_ns = self._clock.monotonic_ns() + HURRY_NS
        self._waiting.close()
        return super().join(timeout_s)

    def reasons(self) -> Sequence[Reason]:
        """Say that the disk refuses, and which pipelines there are not."""
        found = [reason for reason in (self._fault, self._behind) if reason is not None]
        absent = [name for name in self._wanted if name not in self._taps]
        if absent:
            message = f"cannot record {', '.join(absent)}: no such pipeline runs, expected one of {', '.join(self._taps) or 'none'}"
            found.append(
                Reason("record-unknown", "record", message, self._since_ns, "mend record.pipelines", informs=True)
            )
        return found

    def step(self, timeout_s: float) -> bool:
        """Take what waits, or what is due; False when nothing was, and nothing more will be."""
        entry = self._waiting.take(timeout_s)
        if entry is not None:
            self._handle(*entry)
        if self._clock.monotonic_ns() >= self._due_ns:
            self._tick()
        return entry is not None or not self._waiting.is_closed

    def finish(self) -> None:
        """Close every recording."""
        for roll in self._rolls.values():
            roll.close()

    def _run(self) -> None:
        with suppress(OSError):  # a hardened unit may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while self._breaks():
            pass

    def _breaks(self) -> bool:
        """Work to the end; True when something broke on the way, and it shall go on."""
        try:
            while self.step(TICK_S):
                pass
            self.finish()
        except Exception:  # noqa: BLE001 - the pipelines run without recordings, too: whatever happens here is no reason to end
            _LOG.exception("recording.broken")
            return True
        return False

    def _handle(self, tap: Tap, what: What, value: Any) -> None:
        roll = self._rolls.get(tap)
        if roll is None:
            roll = self._rolls[tap] = Roll(tap.subject, tap.around, self._tools.ring, self._clock)
        if what == "gone":
            roll.close()
            del self._rolls[tap]
        elif what == "ask":
            roll.want("asked", value)
        elif what == "event":
            roll.take(event_item(value, self._tools.stamper))
            if value.phase in TRIGGERS:
                roll.want(value.rule)
        elif what == "result":
            roll.take(result_item(value, self._tools.stamper))
        else:
            frame, missed = value
            is_late = self._clock.monotonic_ns() > self._hurry_ns
            roll.take(unseen(frame, missed) if is_late else input_item(frame, missed, lossless=self._tools.lossless))
            if missed:
                self._fall_behind(missed)

    def _tick(self) -> None:
        self._due_ns = self._clock.monotonic_ns() + int(TICK_S * 1e9)
        if self._ticks % RETIRE_EVERY == 0:
            self._retire()
        if self._clock.monotonic_ns() - self._behind_ns > BEHIND_NS:
            self._behind = None
        self._ticks += 1
        rolls = [(roll, roll.now_s) for roll in self._rolls.values() if roll.now_s is not None]
        felt = {**self._tools.stamper.now(), **self._tools.readings()} if rolls else {}
        for roll, now_s in rolls:
            roll.take(Item("reading", now_s or 0.0, felt))
            roll.tick()
        for pipeline, seconds in self._requests.taken():
            for tap in [tap for name, tap in self._taps.items() if pipeline in {"", name}]:
                tap.ask(seconds)

    def _retire(self) -> None:
        try:
            self._tools.ring.retire()
        except OSError as error:
            message = f"cannot remove old recordings: {error.strerror}"
            self.tell(DeviceError(message, remedy="see the disk", code="disk"))

    def _fall_behind(self, missed: int) -> None:
        self._behind_ns = self._clock.monotonic_ns()
        since_ns = self._behind.since_mono_ns if self._behind is not None else self._behind_ns
        message = f"cannot encode as fast as inputs come: the last {missed} were not recorded, and no frame was lost"
        remedy = 'record fewer pipelines, or with quality = "jpeg"'
        self._behind = Reason("recording-behind", "record", message, since_ns, remedy, informs=True)

    def tell(self, fault: DeviceError | None) -> None:
        """Take how the last recording went."""
        if fault is None:
            self._fault = None
        elif self._fault is None or self._fault.message != fault.args[0]:
            logs.event(_LOG, "recording.failed", level=logging.WARNING, error=fault)
            now_ns = self._clock.monotonic_ns()
            self._fault = Reason("recording-failed", "record", str(fault.args[0]), now_ns, fault.remedy)
