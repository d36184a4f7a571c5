"""Requests in traces: the caller's, when it brings a traceparent, or else one of their own."""

from __future__ import annotations

from functools import partial

from edged.api.infer import Pending
from edged.api.outcome import Outcome
from edged.api.refusal import RefusedError
from edged.telemetry.trace import Span, Trace, Tracer, read_traceparent


def follow(tracer: Tracer, pending: Pending) -> None:
    """Give away the spans of a request when it is over, if its trace is collected."""
    parent = read_traceparent(pending.question.request.traceparent)
    trace = tracer.begin(parent)
    if trace.is_sampled:
        pending.outcome.then(partial(_tell, tracer, pending, trace, parent.span_id if parent else None))


def _tell(tracer: Tracer, pending: Pending, trace: Trace, parent_id: int | None, outcome: Outcome) -> None:
    question, job = pending.question, pending.job
    clock, brought = question.clock, question.served.brought
    ended_ns = clock.monotonic_ns()
    to_wall_ns = clock.wall_ns() - ended_ns
    arrived_ns, until_ns = to_wall_ns + job.arrived_ns, to_wall_ns + ended_ns
    # A request that was refused in the line never began.
    began_ns = to_wall_ns + (job.began_ns or ended_ns)
    about = {"edged.model": brought.name, "edged.model.version": brought.version, "edged.request": question.request.id}
    spans = [Span(f"infer {brought.name}", trace, parent_id, arrived_ns, until_ns, about, _failure(outcome), "server")]
    spans.append(Span("queue", tracer.child(trace), trace.span_id, arrived_ns, began_ns))
    if job.began_ns:
        spans.append(Span("inference", tracer.child(trace), trace.span_id, began_ns, until_ns))
    tracer.export(spans)


def _failure(outcome: Outcome) -> str:
    if outcome.cancelled():
        return "its client went away"
    error = outcome.error()
    return str(error) if isinstance(error, RefusedError) else ("" if error is None else type(error).__name__)
