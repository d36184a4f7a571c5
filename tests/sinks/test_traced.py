from __future__ import annotations

from collections.abc import Sequence

from edged.domain.result import Event
from edged.fleet.topics import Stamper
from edged.sinks.due import Due
from edged.sinks.report import ReportSink
from edged.sinks.traced import TracedReport
from edged.telemetry.trace import Span, Tracer
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.results import detections, result

MS = 1_000_000


class Traced:
    """A report with a tracer before it, and everything that both give away."""

    def __init__(self, share: float) -> None:
        self.clock, self.outbox, self.spans = FakeClock(mono=20 * MS), FakeOutbox(), []
        report = ReportSink(self.outbox, Stamper("a-boot", self.clock), Due("all"), qos=1, wait_s=0.0)
        self.sink = TracedReport(report, Tracer(share, self.take), self.clock)

    def take(self, spans: Sequence[Span]) -> None:
        self.spans += spans


def test_a_frame_is_one_span_with_one_below_it_for_each_stage() -> None:
    made = Traced(1.0)
    made.sink.result(result(detections("cat"), index=7))

    frame, *stages = made.spans
    captured_ns = 1_800_000_000_000_000_000
    assert [(one.name, one.start_ns - captured_ns, one.end_ns - captured_ns) for one in stages] == [
        ("capture", 0, 1 * MS),
        ("preprocess", 1 * MS, 1.5 * MS),
        ("inference", 1.5 * MS, 11.5 * MS),
        ("postprocess", 11.5 * MS, 11.7 * MS),
        ("publish", 20 * MS, 20 * MS),
    ]
    assert (frame.name, frame.parent_id, frame.start_ns, frame.end_ns) == (
        "frame",
        None,
        captured_ns,
        captured_ns + 20 * MS,
    )
    assert {(one.trace.trace_id, one.parent_id) for one in stages} == {(frame.trace.trace_id, frame.trace.span_id)}
    assert len({one.trace.span_id for one in made.spans}) == 6
    assert (frame.attributes["edged.pipeline"], frame.attributes["edged.frame"]) == ("gate", 7)


def test_each_result_and_its_events_carry_the_traceparent_whether_it_is_collected_or_not() -> None:
    made = Traced(0.0)
    seen = result(detections("cat"))
    made.sink.result(seen)
    made.sink.event(Event("gate", "someone", "start", seen.stamp, seen.stamp, seen))
    made.sink.result(seen)

    first, event, second = (draft.body["traceparent"] for draft in made.outbox.drafts)
    assert made.spans == []
    assert first == event != second
    assert first.endswith("-00")


def test_a_frame_without_an_answer_is_a_span_that_failed() -> None:
    made = Traced(1.0)
    made.sink.result(result(None, reason="deadline"))

    assert (made.spans[0].failure, made.spans[0].attributes["edged.status"]) == ("deadline", "unknown")
