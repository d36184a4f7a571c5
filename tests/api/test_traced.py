from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from edged.api.infer import InferRequest
from edged.api.refusal import RefusedError
from edged.api.tensors import Tensor
from edged.domain.errors import FrameError
from edged.domain.tensor import Array
from edged.telemetry.trace import Span, Tracer
from fakes.serving import Box, FakeBrought, box
from fakes.waiting import until

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
INPUT = Tensor("x", "FP32", (1, 4), np.ones((1, 4), np.float32))


def traced(brought: FakeBrought, spans: list[Span], share: float = 0.0) -> Box:
    made = box(brought).loaded(brought.name)
    made.handlers.tracer = Tracer(share, spans.extend)
    return made


def ask(made: Box, traceparent: str = "") -> None:
    made.handlers.infer(InferRequest("double", (INPUT,), id="r-1", traceparent=traceparent)).result()


def test_a_request_of_a_collected_trace_gives_its_spans_below_the_callers() -> None:
    spans: list[Span] = []
    made = traced(FakeBrought("double"), spans)
    ask(made, PARENT)
    until(lambda: spans, "its spans")
    made.handlers.shelf.close()

    whole, queue, inference = spans
    assert (whole.name, whole.kind, whole.parent_id) == ("infer double", "server", 0x00F067AA0BA902B7)
    assert {one.trace.trace_id for one in spans} == {0x4BF92F3577B34DA6A3CE929D0E0E4736}
    assert [(one.name, one.parent_id) for one in (queue, inference)] == [
        ("queue", whole.trace.span_id),
        ("inference", whole.trace.span_id),
    ]
    assert whole.start_ns == queue.start_ns <= queue.end_ns == inference.start_ns <= inference.end_ns == whole.end_ns
    assert (whole.attributes["edged.model"], whole.attributes["edged.request"]) == ("double", "r-1")


@pytest.mark.parametrize("traceparent", ["", f"{PARENT[:-2]}00", "nonsense"])
def test_a_request_of_no_collected_trace_gives_none(traceparent: str) -> None:
    spans: list[Span] = []
    made = traced(FakeBrought("double"), spans)
    ask(made, traceparent)
    made.handlers.shelf.close()

    assert spans == []


def test_a_request_without_a_trace_begins_one_of_its_own() -> None:
    spans: list[Span] = []
    made = traced(FakeBrought("double"), spans, share=1.0)
    ask(made)
    until(lambda: spans, "its spans")
    made.handlers.shelf.close()

    assert spans[0].parent_id is None


def test_a_request_that_fails_says_why_in_its_span() -> None:
    def fail(_tensors: Sequence[Array]) -> list[Array]:
        message = "cannot read it"
        raise FrameError(message)

    spans: list[Span] = []
    made = traced(FakeBrought("double", compute=fail), spans)
    with pytest.raises(RefusedError):
        ask(made, PARENT)
    until(lambda: spans, "its spans")
    made.handlers.shelf.close()

    assert spans[0].failure == "cannot read it"


def test_a_request_whose_client_went_away_never_began() -> None:
    def wait(tensors: Sequence[Array]) -> list[Array]:
        goes_on.wait(10)
        return list(tensors)

    spans: list[Span] = []
    goes_on = threading.Event()
    made = traced(FakeBrought("double", compute=wait), spans)
    first = made.handlers.infer(InferRequest("double", (INPUT,)))
    second = made.handlers.infer(InferRequest("double", (INPUT,), traceparent=PARENT))
    second.forget()
    goes_on.set()
    first.result()
    made.handlers.shelf.close()

    assert [(one.name, one.failure) for one in spans] == [("infer double", "its client went away"), ("queue", "")]
