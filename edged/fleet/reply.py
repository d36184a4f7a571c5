"""Answers to commands: where they go, and the sender's correlation data on their way back. And traces, of any document.

Both stand in the document itself, so that they survive a restart between the document and its sending; the
session reads them there and sets MQTT 5's properties.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from edged.domain.message import Draft
from edged.fleet import topics
from edged.telemetry.trace import CHARS, NAME

REPLY_SCHEMA = "edged.reply/1"
MAX_STREAM = 128
MAX_CORRELATION = 256
"""Bytes of correlation data that come back: it is a sender's key, and any longer one comes back as nothing at all."""
_TRACED = f'"{NAME}":"'.encode()
_START = f'{{"schema":"{REPLY_SCHEMA}"'.encode()
_TAKEN = topics.RETAINED_STREAMS | {topics.ALERT, topics.TELEMETRY, topics.UPDATE, topics.GET}
_TAKEN_BELOW = (topics.result_stream(""), topics.event_stream(""))


def reply_stream(asked: str | None) -> str:
    """Give the stream for an answer: the one that was asked for, unless other documents have it."""
    if not asked or len(asked) > MAX_STREAM or asked in _TAKEN or asked.startswith(_TAKEN_BELOW):
        return topics.REPLY
    return asked


def reply_draft(stream: str, body: dict[str, Any], correlation: bytes | None, traceparent: str | None = None) -> Draft:
    """Address an answer; ``body`` carries id, verb, ok, code, message and the stamps."""
    extra = {}
    if correlation is not None and len(correlation) <= MAX_CORRELATION:
        extra["correlation"] = base64.b64encode(correlation).decode()
    if traceparent is not None:
        extra[NAME] = traceparent
    return Draft(stream, {"schema": REPLY_SCHEMA, **body, **extra}, priority=0)


def traceparent_of(payload: bytes) -> str | None:
    """Give the trace that a document belongs to; None for most.

    Without reading it whole, since every document is asked: within a text its quotes would stand behind backslashes, so that this is a key.
    """
    at = payload.find(_TRACED)
    if at < 0:
        return None
    begin = at + len(_TRACED)
    return payload[begin : begin + CHARS].decode("ascii", "replace")


def correlation_of(payload: bytes) -> bytes | None:
    """Give the correlation data of an answer; None for every other document."""
    if not payload.startswith(_START):
        return None
    try:
        return base64.b64decode(json.loads(payload)["correlation"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        return None
