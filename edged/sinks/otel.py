"""Spans to an OpenTelemetry collector, over OTLP and HTTP: in the background, bounded, and lost rather than waited for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from edged.telemetry import logs
from edged.telemetry.trace import Span

QUEUE, BATCH = 2048, 256
"""Spans that may wait for the collector, about 3 MB of them, and how many go at once."""
EVERY_MS = 1000.0
TIMEOUT_S = 5.0
KINDS = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}

_LOG = logging.getLogger("edged.tracing")
_SCOPE = InstrumentationScope("edged")


class Collector:
    """The way to one collector. ``about`` names who tells: resource attributes, such as ``service.instance.id``."""

    def __init__(self, endpoint: str, token: str | None, about: Mapping[str, str]) -> None:
        # It tells of each batch that does not get through, in a log of its own: the outage is told once, below.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        exporter = OTLPSpanExporter(endpoint, headers=headers, timeout=TIMEOUT_S, session=_Session())
        self._resource = Resource(dict(about))
        self._watched = _Watched(exporter, endpoint)
        self._processor = BatchSpanProcessor(
            self._watched, max_queue_size=QUEUE, schedule_delay_millis=EVERY_MS, max_export_batch_size=BATCH
        )
        self._closing: threading.Thread | None = None

    def __repr__(self) -> str:
        seen = self._watched
        return f"<Collector {seen.shown}: {seen.sent} spans sent, {self.lost} lost{', down' if seen.is_down else ''}>"

    def take(self, spans: Sequence[Span]) -> None:
        """Queue spans; the oldest that wait go when there are too many."""
        for span in spans:
            self._processor.on_end(_readable(span, self._resource))
        self._watched.queued(len(spans))

    @property
    def lost(self) -> int:
        """How many spans were lost: the collector did not take them, or they made room for newer ones."""
        return self._watched.refused + self._watched.pushed_out

    def close(self) -> None:
        """Send what waits, in the background; returns at once. May be called twice."""
        if self._closing is None:
            self._closing = threading.Thread(target=self._processor.shutdown, name="edged-tracing-end", daemon=True)
            self._closing.start()

    def join(self, timeout_s: float) -> bool:
        """Wait until what waited has been sent."""
        if self._closing is not None:
            self._closing.join(timeout_s)
        return self._closing is None or not self._closing.is_alive()


class _Session(requests.Session):
    """Asks a collector for its status alone: a body could drip for ever, or fill the memory. A redirect is no success."""

    def request(self, *asked: Any, **named: Any) -> requests.Response:
        """Send a batch. Raises requests' exceptions."""
        with super().request(*asked, **named | {"stream": True}) as response:
            if response.is_redirect:
                message = f"the collector is elsewhere: status {response.status_code}"
                raise requests.RequestException(message)
            return response


class _Watched(SpanExporter):
    """An exporter whose outages are told: once when one begins, and once when it is over; and so is that spans are pushed out."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter = exporter
        self.shown = endpoint.partition("?")[0]
        self.sent = self.refused = self.pushed_out = 0
        self.is_down = False
        self._queued = self._handed = 0
        self._lock = threading.Lock()

    def queued(self, count: int) -> None:
        """Take note of spans that were queued: of those that were not handed on, more than there is room for are gone."""
        with self._lock:
            before = self.pushed_out
            self._queued += count
            self.pushed_out = max(before, self._queued - self._handed - QUEUE)
        if self.pushed_out and not before:
            remedy = "lower [tracing] sample, or see why the collector is slow"
            logs.event(_LOG, "tracing.crowded", level=logging.WARNING, collector=self.shown, remedy=remedy)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        with self._lock:
            self._handed += len(spans)
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            if self.is_down:
                logs.event(_LOG, "tracing.recovered", collector=self.shown, lost=self.refused + self.pushed_out)
        else:
            self.refused += len(spans)
            if not self.is_down:
                remedy = "see that the collector takes OTLP over HTTP there"
                logs.event(_LOG, "tracing.unsent", level=logging.WARNING, collector=self.shown, remedy=remedy)
        self.is_down = result is not SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Let the connection go."""
        self._exporter.shutdown()


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    """Give a span as OpenTelemetry's own have it once they are over."""
    trace = span.trace
    parent = None if span.parent_id is None else _context(trace.trace_id, span.parent_id)
    status = Status(StatusCode.ERROR, span.failure) if span.failure else Status(StatusCode.UNSET)
    return ReadableSpan(
        span.name,
        context=_context(trace.trace_id, trace.span_id),
        parent=parent,
        resource=resource,
        attributes=span.attributes,
        kind=KINDS[span.kind],
        status=status,
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
