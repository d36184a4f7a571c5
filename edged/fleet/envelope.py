"""A signed document on its way: a DSSE envelope, read with bounds before anything of it is believed."""

from __future__ import annotations

from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error

from edged.domain.errors import RejectedError
from edged.domain.strict import read_json

MAX_BYTES = 144 * 1024
"""What a link carries at most."""
MAX_DEPTH = 4
MAX_SIGNATURES = 16


def read_envelope(content: bytes, payload_type: str) -> Envelope:
    """Read an envelope of one kind of document. Nothing is verified yet. Raises RejectedError, code ``malformed``."""
    try:
        return _envelope(content, payload_type)
    except (ValueError, KeyError, TypeError, AttributeError, Error) as error:
        message = f"cannot read the envelope: {' '.join(str(error).split())[:160]}, expected DSSE with {payload_type}"
        raise RejectedError(message, code="malformed") from error


def _envelope(content: bytes, payload_type: str) -> Envelope:
    if len(content) > MAX_BYTES:
        message = f"it has {len(content)} bytes, expected at most {MAX_BYTES}"
        raise ValueError(message)
    document: Any = read_json(content, MAX_DEPTH)
    if len(document["signatures"]) > MAX_SIGNATURES:
        message = f"it has {len(document['signatures'])} signatures, expected at most {MAX_SIGNATURES}"
        raise ValueError(message)
    envelope = Envelope.from_dict(document)
    if envelope.payload_type != payload_type:
        message = f"its payload is {envelope.payload_type[:80]!r}"
        raise ValueError(message)
    return envelope
