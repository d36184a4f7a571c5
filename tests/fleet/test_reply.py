from __future__ import annotations

import json

import pytest

from edged.fleet.reply import MAX_CORRELATION, correlation_of, reply_draft, reply_stream, traceparent_of


@pytest.mark.parametrize("asked", ["reply", "reply/console-7", "answers"])
def test_a_stream_of_the_devices_own_is_honoured(asked: str) -> None:
    assert reply_stream(asked) == asked


@pytest.mark.parametrize(
    "asked", [None, "", "status", "health", "alert", "telemetry", "result/gate", "event/x", "y" * 129]
)
def test_a_stream_of_other_documents_is_not(asked: str | None) -> None:
    assert reply_stream(asked) == "reply"


@pytest.mark.parametrize("correlation", [b"", b"42", bytes(range(256))])
def test_correlation_data_come_back_through_the_document(correlation: bytes) -> None:

    draft = reply_draft("reply", {"id": "c-1"}, correlation)
    payload = json.dumps(dict(draft.body), separators=(",", ":")).encode()
    assert correlation_of(payload) == correlation


def test_correlation_data_that_are_too_long_or_absent_do_not_come_back() -> None:
    assert "correlation" not in reply_draft("reply", {}, b"x" * (MAX_CORRELATION + 1)).body
    assert "correlation" not in reply_draft("reply", {}, None).body


@pytest.mark.parametrize(
    "payload",
    [
        b'{"schema":"edged.result/1","correlation":"NDI="}',
        b'{"schema":"edged.reply/1"}',
        b'{"schema":"edged.reply/1","correlation":7}',
        b'{"schema":"edged.reply/1","correlation":"!"}',
    ],
)
def test_every_other_document_has_none(payload: bytes) -> None:
    assert correlation_of(payload) is None


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_trace_is_found_in_whatever_document_carries_it() -> None:
    draft = reply_draft("reply", {"id": "c-1"}, None, TRACE)

    assert traceparent_of(json.dumps(dict(draft.body), separators=(",", ":")).encode()) == TRACE
    assert traceparent_of(json.dumps({"schema": "edged.result/1", "frame": 7}).encode()) is None


def test_a_text_that_looks_like_a_trace_is_none() -> None:
    document = {"label": f'"traceparent":"{TRACE}"', "reason": "traceparent"}

    assert traceparent_of(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()) is None
