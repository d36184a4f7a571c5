"""One pipeline's recordings, one after the other: what was before an event is held, and written with what comes after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.assembly.clip_file import ClipWriter
from edged.assembly.clip_ring import Ring
from edged.domain.errors import DeviceError
from edged.domain.ports import Clock
from edged.fleet.topics import rfc3339
from edged.pipeline.preroll import Item, PreRoll, Span
from edged.telemetry import logs

MOST_S = 300.0
"""A longer recording ends, and its next event begins another: five minutes of 15 pictures a second are some 300 MB."""
IDLE_NS = 5 * 10**9
"""A source that says nothing for so long ends a recording, and results that do not come are not waited for any longer."""
GONE_NS = 900 * 10**9
"""A source that says nothing for longer is gone, or a reload took its pipeline away: what is held of it is let go."""
LOSSY = ".jpg"

_LOG = logging.getLogger("edged.recordings")


@dataclass(frozen=True, slots=True)
class Around:
    """How much of the time around an event is recorded, in seconds of the source's own time, and what may wait in memory."""

    before_s: float
    after_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Subject:
    """What is recorded: the pipeline, what its manifest says of every recording, and the file of what it has learned."""

    pipeline: str
    about: Mapping[str, Any]
    calibration: Path
    told: Callable[[DeviceError | None], None] = field(default=lambda _fault: None)
    """Called after each recording: with what went wrong, or None."""


class Roll:
    """Owned by the recorder's thread."""

    def __init__(self, subject: Subject, around: Around, ring: Ring, clock: Clock) -> None:
        self._subject, self._around, self._ring, self._clock = subject, around, ring, clock
        self._before = PreRoll(around.before_s, around.memory_bytes)
        self._writer: ClipWriter | None = None
        self._span = Span(0.0, 0.0, MOST_S)
        self._asked_s: float | None = None
        self._why = ""
        self._inputs: set[tuple[int, int]] = set()
        self._last: tuple[int, int] | None = None
        self._is_answered = self._is_draining = False
        self._heard_ns = clock.monotonic_ns()
        self._now_s: float | None = None
        self._facts: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Roll {self._subject.pipeline}: {self._writer or self._before!r}>"

    @property
    def now_s(self) -> float | None:
        """The source's own time of the newest input; None while there was none."""
        return self._now_s

    def take(self, item: Item) -> None:
        """Take an item: into the recording, or to be held until there is one."""
        if item.kind == "input":
            self._heard_ns, self._now_s = self._clock.monotonic_ns(), item.at_s
            if self._asked_s is not None:
                self.want("asked", self._asked_s)
        if self._writer is None:
            self._before.add(item)
        elif item.kind == "input":
            self._take_input(item, self._writer)
        elif item.kind == "reading":
            self._write(item)
        else:
            self._take_word(item)

    def want(self, why: str, for_s: float | None = None) -> None:
        """Record what was before now and what comes within ``for_s``, by default the time after an event."""
        now_s = self._now_s
        if now_s is None:
            self._asked_s = for_s
            return
        until_s = now_s + (self._around.after_s if for_s is None else for_s)
        self._asked_s = None
        if self._is_draining:
            self.close()
        if self._writer is None:
            self._begin(why, now_s, until_s)
        else:
            self._span = self._span.extended(until_s)

    def tick(self) -> None:
        """Close what nothing comes for any more, and let go of what nobody will ask for; called about once a second."""
        quiet_ns = self._clock.monotonic_ns() - self._heard_ns
        if self._writer is not None and quiet_ns > IDLE_NS:
            self.close()
        elif quiet_ns > GONE_NS:
            self._before.take()
            self._now_s = None

    def close(self) -> None:
        """Finish the recording, if there is one."""
        writer, self._writer, self._is_draining = self._writer, None, False
        if writer is None:
            return
        try:
            calibration = self._subject.calibration
            file = writer.finish(self._about(writer), calibration.read_bytes() if calibration.is_file() else None)
            self._ring.add(file)
        except OSError as error:
            self._fail(writer, error)
            return
        logs.event(_LOG, "recording.written", file=file.name, why=self._why, inputs=writer.counts["input"])
        self._subject.told(None)

    def _take_input(self, item: Item, writer: ClipWriter) -> None:
        if self._is_draining or writer.is_full or self._ring.is_full(writer) or self._span.is_over(item.at_s):
            # Results of what was written may still come: a pipeline takes inputs ahead of them.
            self._is_draining = True
            self._before.add(item)
            self._close_if_answered()
        else:
            self._write(item)

    def _take_word(self, item: Item) -> None:
        """Take a result or an event: into the recording whose input it is about."""
        if self._is_draining and (item.kind == "event" or _key(item) not in self._inputs):
            self.close()
            self._before.add(item)
        elif item.kind == "event" or _key(item) in self._inputs:
            self._write(item)
            self._close_if_answered()

    def _close_if_answered(self) -> None:
        if self._is_draining and self._is_answered:
            self.close()

    def _begin(self, why: str, now_s: float, until_s: float) -> None:
        is_short, items = self._before.is_short, self._before.take()
        self._why, self._facts = why, {"short": is_short, "missed": 0, "lossy": False, "models": []}
        begun_s = next((item.at_s for item in items if item.kind == "input"), now_s)
        self._span = Span(begun_s, until_s, MOST_S)
        try:
            self._writer = self._ring.begin(self._subject.pipeline, why)
        except DeviceError as error:
            self._subject.told(error)
            return
        except OSError as error:
            self._fail(None, error)
            return
        self._inputs.clear()
        for item in items:
            if item.kind != "result" or _key(item) in self._inputs:
                self._write(item)

    def _write(self, item: Item) -> None:
        writer = self._writer
        if writer is None:  # it was given up before all that was held had been written
            return
        try:
            self._ring.make_room(item.size_bytes)
            writer.add(item)
        except OSError as error:
            self._writer, self._is_draining = None, False
            self._fail(writer, error)
            return
        if item.kind == "input":
            self._note_input(item)
        elif item.kind == "result":
            self._is_answered = self._is_answered or _key(item) == self._last
            if item.row["model"] not in self._facts["models"]:
                self._facts["models"].append(item.row["model"])

    def _note_input(self, item: Item) -> None:
        row, facts = item.row, self._facts
        self._last, self._is_answered = _key(item), False
        self._inputs.add(self._last)
        facts["missed"] += row.get("missed", 0)
        facts["lossy"] = facts["lossy"] or item.suffix == LOSSY
        facts.setdefault("first_ns", row["wall_ns"])
        facts["last_ns"] = row["wall_ns"]

    def _fail(self, writer: ClipWriter | None, error: OSError) -> None:
        if writer is not None:
            writer.abandon()
        message = f"cannot record to {self._ring.folder}: {error.strerror or error}, expected a disk that takes it"
        self._subject.told(DeviceError(message, remedy="see the disk; the next event is recorded again", code="disk"))

    def _about(self, writer: ClipWriter) -> dict[str, Any]:
        facts, first_s, last_s = self._facts, *(writer.span_s or (0.0, 0.0))
        return {
            "id": writer.name,
            "why": self._why,
            **self._subject.about,
            "began_at": rfc3339(facts.get("first_ns", 0)),
            "ended_at": rfc3339(facts.get("last_ns", 0)),
            "seconds": round(last_s - first_s, 3),
            "counts": {"missed": facts["missed"], **{f"{kind}s": writer.counts[kind] for kind in COUNTED}},
            "quality": "jpeg" if facts["lossy"] else "lossless",
            "short": facts["short"],
            "models": facts["models"],
        }


COUNTED = ("input", "result", "event", "reading")


def _key(item: Item) -> tuple[int, int]:
    return item.row["index"], item.row["mono_ns"]
