from __future__ import annotations

from edged.domain.result import Event
from edged.fleet.topics import Stamper
from edged.sinks.due import Due
from edged.sinks.report import ReportSink
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.results import detections, result


def report(due: Due, *, qos: int = 1, wait_s: float = 0.0) -> tuple[ReportSink, FakeOutbox]:
    outbox = FakeOutbox()
    return ReportSink(outbox, Stamper("a-boot", FakeClock()), due, qos=qos, wait_s=wait_s), outbox


def test_a_result_that_is_due_goes_to_its_pipelines_stream() -> None:
    sink, outbox = report(Due("all"), qos=0)
    sink.result(result(detections("cat")))
    (draft,) = outbox.drafts
    assert (draft.stream, draft.qos, draft.priority, draft.retain) == ("result/gate", 0, 1, False)
    assert (draft.body["schema"], draft.body["detections"][0]["label"]) == ("edged.result/1", "cat")


def test_a_result_that_is_not_due_goes_nowhere() -> None:
    sink, outbox = report(Due("none"))
    sink.result(result(detections("cat")))
    assert outbox.drafts == []


def test_an_event_always_goes_out_durably_and_before_results() -> None:
    sink, outbox = report(Due("none"), qos=0)
    seen = result(detections("cat"))
    sink.event(Event("gate", "someone", "start", seen.stamp, seen.stamp, seen))
    (draft,) = outbox.drafts
    assert (draft.stream, draft.qos, draft.priority, draft.body["phase"]) == ("event/gate", 1, 0, "start")


def test_a_change_that_the_outbox_did_not_take_is_told_with_the_next_result() -> None:
    sink, outbox = report(Due("changes"))
    sink.result(result(detections("cat")))
    outbox.room = 1
    sink.result(result(detections("dog")))
    outbox.room = 9
    sink.result(result(detections("dog")))
    sink.result(result(detections("dog")))
    assert [draft.body["detections"][0]["label"] for draft in outbox.drafts] == ["cat", "dog"]


def test_a_result_is_told_as_it_was_when_it_was_handed_over() -> None:
    """Its body is built later, and on another thread."""
    sink, outbox = report(Due("all"))
    for trace in ("00-of-the-first-frame", ""):
        sink.traceparent = trace
        sink.result(result(detections("cat")))
    assert [draft.body.get("traceparent") for draft in outbox.drafts] == ["00-of-the-first-frame", None]


def test_a_clock_that_is_set_right_later_does_not_date_what_was_seen_before() -> None:
    clock, outbox = FakeClock(is_synced=False), FakeOutbox()
    sink = ReportSink(outbox, Stamper("a-boot", clock), Due("all"), qos=1, wait_s=0.0)
    for _ in range(2):
        sink.result(result(detections("cat")))
        clock.is_synced = True
        clock.advance(2)
    assert [draft.body["clock"] for draft in outbox.drafts] == ["unsynced", "synced"]
