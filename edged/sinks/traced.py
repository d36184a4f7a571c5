"""Results with a trace each: the report carries its name, and its spans tell where the frame's time went."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from edged.domain.ports import Clock, Sink
from edged.domain.result import Event, Result
from edged.telemetry.trace import Span, Trace, Tracer

NS_PER_MS = 1_000_000


class Report(Sink, Protocol):
    """A sink that puts its trace's name into what it tells; ``edged.sinks.report.ReportSink`` is one."""

    traceparent: str


class TracedReport:
    """Stands before a pipeline's report. An event belongs to the trace of the frame that brought it about."""

    def __init__(self, report: Report, tracer: Tracer, clock: Clock) -> None:
        self._report, self._tracer, self._now_ns = report, tracer, clock.monotonic_ns

    def result(self, result: Result) -> None:
        """Report it under a trace of its own, and give away the spans if this one is collected."""
        trace = self._tracer.begin()
        self._report.traceparent = str(trace)
        began_ns = self._now_ns()
        self._report.result(result)
        if trace.is_sampled:
            self._tracer.export(tuple(self._spans(result, trace, began_ns, self._now_ns())))

    def event(self, event: Event) -> None:
        """Report it."""
        self._report.event(event)

    def _spans(self, result: Result, trace: Trace, began_ns: int, ended_ns: int) -> Iterator[Span]:
        """Give the frame's span, and one a stage. ``began_ns`` and ``ended_ns`` are publishing's, on the monotonic clock."""
        stamp, latency = result.stamp, result.latency
        to_wall_ns = stamp.wall_ns - stamp.mono_ns
        yield Span("frame", trace, None, stamp.wall_ns, to_wall_ns + ended_ns, _about(result), result.reason)
        at_ns = stamp.wall_ns
        for name, took_ms in (
            ("capture", latency.age_ms),
            ("preprocess", latency.preprocess_ms),
            ("inference", latency.inference_ms),
            ("postprocess", latency.postprocess_ms),
        ):
            until_ns = at_ns + round(took_ms * NS_PER_MS)
            yield Span(name, self._tracer.child(trace), trace.span_id, at_ns, until_ns)
            at_ns = until_ns
        child = self._tracer.child(trace)
        yield Span("publish", child, trace.span_id, to_wall_ns + began_ns, to_wall_ns + ended_ns)


def _about(result: Result) -> dict[str, str | int | float]:
    model = result.model
    return {
        "edged.pipeline": result.pipeline,
        "edged.frame": result.stamp.index,
        "edged.status": result.status,
        "edged.model": model.name,
        "edged.model.version": model.version,
        "edged.variant": model.variant,
        "edged.runtime": model.runtime,
        "edged.accelerator": model.accelerator,
    }
