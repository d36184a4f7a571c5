"""From results to events: what was seen long enough, on the source's own time.

A visit begins when the condition holds, is reported once it has held for ``for_s``, and ends once it has not held
for ``gap_s``: a shorter absence is the same visit. An unknown result is no evidence of absence and changes nothing.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from edged.domain.result import Event, Output, Phase, Result

Condition = Callable[[Output, float], bool]
"""Whether an answer, given at that time of the source in seconds, shows what a rule waits for."""

State = Literal["idle", "pending", "active"]

ONGOING_EVERY_S = 10.0
"""How often a lasting event is confirmed: a consumer that missed its end finds out within this time."""


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds of the source's own time. ``cooldown_s`` counts from an event's end to the next start."""

    for_s: float = 0.0
    gap_s: float = 0.0
    cooldown_s: float = 0.0
    ongoing_every_s: float = ONGOING_EVERY_S


@dataclass(slots=True)
class Rule:
    """One rule's memory of the visit in progress."""

    pipeline: str
    name: str
    condition: Condition
    timing: Timing
    state: State = "idle"
    _first: Result | None = field(default=None, repr=False)
    _last: Result | None = field(default=None, repr=False)
    _said_s: float = -math.inf
    _quiet_until_s: float = -math.inf

    def step(self, result: Result) -> Event | None:
        """Take the next result; give the event that it brings about, if any."""
        if result.output is None:
            return None
        if self.condition(result.output, result.stamp.source_s):
            return self._seen(result)
        return self._absent(result.stamp.source_s)

    def finish(self) -> Event | None:
        """Close the visit in progress: the source has ended, or its time began anew."""
        event = self._event("end") if self.state == "active" else None
        self.state, self._first, self._last, self._quiet_until_s = "idle", None, None, -math.inf
        return event

    def _seen(self, result: Result) -> Event | None:
        now_s = result.stamp.source_s
        if self._first is None:
            self.state, self._first = "pending", result
        self._last = result
        if self.state == "pending":
            held_s = now_s - self._first.stamp.source_s
            return self._say("start", now_s) if held_s >= self.timing.for_s and now_s >= self._quiet_until_s else None
        return self._say("ongoing", now_s) if now_s - self._said_s >= self.timing.ongoing_every_s else None

    def _absent(self, now_s: float) -> Event | None:
        if self._last is None or now_s - self._last.stamp.source_s < self.timing.gap_s:
            return None
        quiet_until_s = self._quiet_until_s
        event = self.finish()
        self._quiet_until_s = event.until.source_s + self.timing.cooldown_s if event else quiet_until_s
        return event

    def _say(self, phase: Phase, now_s: float) -> Event:
        self.state, self._said_s = "active", now_s
        return self._event(phase)

    def _event(self, phase: Phase) -> Event:
        if self._first is None or self._last is None:  # pragma: no cover - an active rule has seen something
            message = f"cannot report {phase} of {self.name}: nothing was seen"
            raise RuntimeError(message)
        shown_by = self._first if phase == "start" else self._last
        return Event(self.pipeline, self.name, phase, self._first.stamp, self._last.stamp, shown_by)


class Rules:
    """All rules of one pipeline. Thread-safe: who stops a loop that hangs says its last word for it."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._lock = threading.Lock()
        self._now_s = -math.inf

    def __repr__(self) -> str:
        return "<Rules " + ", ".join(f"{rule.name}: {rule.state}" for rule in self._rules) + ">"

    def step(self, result: Result) -> list[Event]:
        """Take one result through every rule."""
        events = []
        now_s = result.stamp.source_s
        with self._lock:
            if now_s < self._now_s:
                # The source began anew (a file that loops, a camera that came back): its old time means nothing now.
                events = self._finish()
            self._now_s = now_s
            events += [event for rule in self._rules if (event := rule.step(result)) is not None]
        return events

    def finish(self) -> list[Event]:
        """Close every visit in progress; a second call finds none."""
        with self._lock:
            return self._finish()

    def _finish(self) -> list[Event]:
        return [event for rule in self._rules if (event := rule.finish()) is not None]
