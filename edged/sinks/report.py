"""Results and events on their way to the fleet."""

from __future__ import annotations

from typing import Any

from edged.domain.message import Draft
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
        body = self._traced(documents.result_body(result, self._stamper))
        stream = topics.result_stream(result.pipeline)
        if self._outbox.put(Draft(stream, body, qos=self._qos, priority=RESULT_PRIORITY), wait_s=self._wait_s):
            self.told += 1
        else:
            # Nobody heard of this change: the next result of the same meaning is news, too.
            self._due.forget()

    def event(self, event: Event) -> None:
        """Send the event, always."""
        body = self._traced(documents.event_body(event, self._stamper))
        stream = topics.event_stream(event.pipeline)
        self._outbox.put(Draft(stream, body, priority=EVENT_PRIORITY), wait_s=self._wait_s)

    def _traced(self, body: dict[str, Any]) -> dict[str, Any]:
        return {**body, NAME: self.traceparent} if self.traceparent else body
