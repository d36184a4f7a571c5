"""Results and events on their way to the fleet."""

from __future__ import annotations

from functools import partial
from typing import Any

from edged.domain.message import Draft, Late
from edged.domain.ports import Outbox
from edged.domain.result import Event, Result
from edged.fleet import documents, topics
from edged.sinks.due import Due
from edged.telemetry.trace import NAME

EVENT_PRIORITY, RESULT_PRIORITY = 0, 1


class ReportSink:
    """Puts what is due of one pipeline into the outbox. A full outbox counts the drop; the pipeline goes on."""

    def __init__(self, outbox: Outbox, stamper: topics.Stamper, due: Due, *, qos: int, wait_s: float) -> None:
        self._outbox = outbox
        self._stamper = stamper
        self._due = due
        self._qos = qos
        self._wait_s = wait_s
        self.told = 0
        """Results that were handed over."""
        self.traceparent = ""
        """Which trace the next documents belong to; empty where nothing is traced."""

    def result(self, result: Result) -> None:
        """Send the result if it says enough to be worth it."""
        if not self._due(result):
            return
        # Built on the writer's thread: of a large network's frame that is 1 %, which the next inference does not wait for there.
        body = Late(partial(_result_body, result, self._stamper, self.traceparent, self._stamper.word()))
        draft = Draft(topics.result_stream(result.pipeline), body, qos=self._qos, priority=RESULT_PRIORITY)
        if self._outbox.put(draft, wait_s=self._wait_s):
            self.told += 1
        else:
            # Nobody heard of this change: the next result of the same meaning is news, too.
            self._due.forget()

    def event(self, event: Event) -> None:
        """Send the event, always."""
        body = _traced(documents.event_body(event, self._stamper), self.traceparent)
        stream = topics.event_stream(event.pipeline)
        self._outbox.put(Draft(stream, body, priority=EVENT_PRIORITY), wait_s=self._wait_s)


def _result_body(result: Result, stamper: topics.Stamper, traceparent: str, clock: str) -> dict[str, Any]:
    """Build it as if at once: a clock that was set right meanwhile was not when the picture was taken."""
    return _traced({**documents.result_body(result, stamper), "clock": clock}, traceparent)


def _traced(body: dict[str, Any], traceparent: str) -> dict[str, Any]:
    return {**body, NAME: traceparent} if traceparent else body
