"""Spans at a collector's end, decoded from what went over HTTP."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from edged.sinks.otel import BATCH, QUEUE, Collector
from edged.telemetry.trace import Span, Trace
from fakes.collector import Collected, collector
from fakes.waiting import until

pytestmark = pytest.mark.slow

TRACE = Trace(0xABC, 0xD, is_sampled=True)
WHOLE = Span(
    "frame", TRACE, None, 1000, 5000, {"edged.pipeline": "gate", "edged.frame": 7, "share": 0.5}, "deadline", "server"
)
STEP = Span("inference", Trace(0xABC, 0xE, is_sampled=True), 0xD, 2000, 3000)


@pytest.fixture
def end() -> Iterator[Collected]:
    with collector() as found:
        yield found


def open_to(end: Collected) -> Collector:
    return Collector(end.url, "a-token", {"service.name": "edged", "service.instance.id": "press-07"})


def test_spans_come_as_they_were_with_who_tells_and_the_token(end: Collected) -> None:
    made = open_to(end)
    made.take([WHOLE, STEP])
    made.close()

    assert made.join(60)
    whole, step = end.spans
    assert (whole.name, whole.trace_id.hex(), whole.span_id.hex()) == ("frame", f"{0xABC:032x}", f"{0xD:016x}")
    assert (whole.parent_span_id, step.parent_span_id.hex()) == (b"", f"{0xD:016x}")
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (1000, 5000)
    assert (whole.kind, step.kind) == (Wire.SPAN_KIND_SERVER, Wire.SPAN_KIND_INTERNAL)
    assert (whole.status.code, whole.status.message) == (Status.STATUS_CODE_ERROR, "deadline")
    values = {one.key: one.value for one in whole.attributes}
    assert (values["edged.pipeline"].string_value, values["edged.frame"].int_value) == ("gate", 7)
    assert end.resource == {"service.name": "edged", "service.instance.id": "press-07"}
    assert end.asked == ["Bearer a-token"]


def test_spans_that_nobody_takes_are_bounded_and_cost_whoever_gives_them_nothing(
    end: Collected, caplog: pytest.LogCaptureFixture
) -> None:
    end.status = 503
    made = open_to(end)
    began, began_s = time.thread_time(), time.monotonic()
    for _ in range(2 * QUEUE):
        made.take([STEP])
    took_s, waited_s = time.thread_time() - began, time.monotonic() - began_s
    end.status = 200
    made.close()

    assert made.join(60)
    # What was in hand when it was full may have gone already.
    assert QUEUE <= len(end.spans) <= QUEUE + 2 * BATCH
    assert made.lost == 2 * QUEUE - len(end.spans)
    assert f"{len(end.spans)} spans sent, {made.lost} lost" in repr(made)
    assert [record.message for record in caplog.records].count("tracing.crowded") == 1
    assert took_s < 2
    assert waited_s < 20  # one request's patience, of which there would be hundreds


def test_an_outage_is_told_once_and_its_end_once(end: Collected, caplog: pytest.LogCaptureFixture) -> None:
    end.status = 400  # what is not tried again
    made = open_to(end)
    with caplog.at_level(logging.INFO, "edged.tracing"):
        for _ in range(2):
            made.take([STEP])
            made._processor.force_flush(30_000)
        assert "down" in repr(made)
        end.status = 200
        made.take([STEP])
        until(lambda: end.spans, "the collector takes them again")
        made.close()
        assert made.join(60)

    assert [record.message for record in caplog.records] == ["tracing.unsent", "tracing.recovered"]
    assert json.loads(json.dumps(caplog.records[1].fields)) == {"collector": end.url, "lost": 2}


@pytest.mark.parametrize(
    ("headers", "block", "sent"),
    [
        (b"200 OK\r\nContent-Length: 9999999", b"x", 1),
        (b"200 OK", b"x" * 65_536, 1),
        (b"302 Found\r\nLocation: http://127.0.0.1:9/", b"", 0),
    ],
    ids=["drips", "floods", "redirects"],
)
def test_a_collector_is_asked_for_its_status_alone(headers: bytes, block: bytes, sent: int) -> None:
    cut = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 " + headers + b"\r\n\r\n")
                try:
                    while block:
                        connection.sendall(block)
                        time.sleep(0.01)
                except OSError:
                    cut.set()

        threading.Thread(target=serve, daemon=True).start()
        made = Collector(f"http://127.0.0.1:{listener.getsockname()[1]}/", None, {})
        made.take([STEP])
        made._processor.force_flush(30_000)

    assert (made._watched.sent, made.lost, made._watched.is_down) == (sent, 1 - sent, not sent)
    assert not block or cut.wait(30)
    made.close()
    assert made.join(30)
