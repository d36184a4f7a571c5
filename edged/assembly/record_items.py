"""What goes through a pipeline as the items of a recording."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import numpy as np

from edged.assembly.adapters import adapter
from edged.domain.errors import EdgedError
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Event, Result
from edged.domain.tensor import Array
from edged.fleet.documents import event_body, result_body
from edged.fleet.topics import Stamper
from edged.pipeline.preroll import Item
from edged.telemetry import logs

WINDOW = ".npy"
PICTURE_AXES = 3

_LOG = logging.getLogger("edged.recordings")


def input_item(frame: Frame, missed: int, *, lossless: bool) -> Item:
    """Give an input with what it shows; ``missed`` were lost before it. One that cannot be encoded has only its row."""
    try:
        blob, suffix = _encoded(frame.data, lossless=lossless)
    except EdgedError as error:
        logs.event(_LOG, "recording.unencoded", level=logging.DEBUG, error=error)
        return unseen(frame, missed)
    return Item("input", frame.stamp.source_s, _row(frame.stamp, missed), blob, suffix)


def unseen(frame: Frame, missed: int) -> Item:
    """Give an input without what it shows, as one more that was missed."""
    return Item("input", frame.stamp.source_s, _row(frame.stamp, missed + 1))


def result_item(result: Result, stamper: Stamper) -> Item:
    """Give a result as it is published, but for the numbers that the outbox gives."""
    key, body = _key(result.stamp), result_body(result, stamper)
    return Item("result", result.stamp.source_s, {**key, "model": body["model"]}, _json({**key, **body}))


def event_item(event: Event, stamper: Stamper) -> Item:
    """Give an event in the same way; it belongs to the input that it shows."""
    stamp = event.result.stamp
    return Item("event", stamp.source_s, _key(stamp), _json({**_key(stamp), **event_body(event, stamper)}))


def _row(stamp: Stamp, missed: int) -> dict[str, Any]:
    row = {**_key(stamp), "source_s": stamp.source_s, "wall_ns": stamp.wall_ns}
    return {**row, "missed": missed} if missed else row


def _key(stamp: Stamp) -> dict[str, Any]:
    return {"index": stamp.index, "mono_ns": stamp.mono_ns}


def _json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()


def _encoded(data: Array, *, lossless: bool) -> tuple[bytes, str]:
    """Encode a picture, or a window of samples; a serial-only box loads no OpenCV for it."""
    if data.ndim == PICTURE_AXES:
        made: tuple[bytes, str] = adapter("edged.sinks.encoded").encoded(data, lossless=lossless)
        return made
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(data), allow_pickle=False)
    return stream.getvalue(), WINDOW
