"""A picture of what an event is about, kept on the box or sent: the frame in hand when its rule speaks, with what was found."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Literal

from edged.domain.frame import Frame
from edged.domain.message import Draft
from edged.domain.ports import Outbox
from edged.domain.result import Event, Result
from edged.fleet import topics
from edged.sinks.album import Album
from edged.sinks.drawing import drawn, jpeg, jpeg_within

SNAPSHOT_PRIORITY = 0
"""As the events whose stream and numbers it shares: across priorities a later event would overtake it, and look like a loss."""
MAX_JPEG_BYTES = 88 * 1024
"""In base64 four thirds of it, and with the document's other fields below the contract's 128 KiB."""
PICTURE_AXES = 3

Where = Literal["local", "mqtt"]


class SnapshotSink:
    """Takes a picture when an event starts.

    Args:
        in_hand: gives the frame that the pipeline is working on.
        wanted: where each rule's pictures go, by the rule's name.
        album: keeps those that stay on the box.
        outbox: takes those that are sent.
        stamper: stamps their documents.
    """

    def __init__(
        self,
        in_hand: Callable[[], Frame | None],
        wanted: Mapping[str, Where],
        album: Album,
        outbox: Outbox,
        stamper: topics.Stamper,
    ) -> None:
        self._in_hand = in_hand
        self._wanted = dict(wanted)
        self._album = album
        self._outbox = outbox
        self._stamper = stamper
        self._result: Result | None = None

    def __repr__(self) -> str:
        return f"<SnapshotSink {self._wanted}, {self._album!r}>"

    def result(self, result: Result) -> None:
        """Remember what was found: it comes before the events that it brings about."""
        self._result = result

    def event(self, event: Event) -> None:
        """Take a picture if the event starts and its rule asks for one."""
        where = self._wanted.get(event.rule)
        frame, result = self._in_hand(), self._result
        if where is None or event.phase != "start" or frame is None or result is None:
            return
        if frame.stamp != result.stamp or frame.data.ndim != PICTURE_AXES:  # a sensor's window has nothing to show
            return
        picture = drawn(frame.data, result.output)
        if where == "local":
            self._album.add(_name(event, frame), jpeg(picture))
            return
        fitting = jpeg_within(picture, MAX_JPEG_BYTES)
        if fitting is not None:
            self._outbox.put(self._draft(event, frame, *fitting))

    def _draft(self, event: Event, frame: Frame, data: bytes, width: int, height: int) -> Draft:
        body = {
            "schema": "edged.snapshot/1",
            "pipeline": event.pipeline,
            **self._stamper.captured(frame.stamp),
            "rule": event.rule,
            "since": topics.rfc3339(event.since.wall_ns),
            "frame": frame.stamp.index,
            "width": width,
            "height": height,
            "jpeg": b64encode(data).decode("ascii"),
        }
        # Not in the lane of events: an event without its picture still tells, so that pictures are held back first.
        return Draft(topics.event_stream(event.pipeline), body, lane="telemetry", priority=SNAPSHOT_PRIORITY)


def _name(event: Event, frame: Frame) -> str:
    """Give a file name that sorts by time, such as ``20261120T231004.120Z-at-the-gate-5120``."""
    seconds, rest = divmod(frame.stamp.wall_ns // 1_000_000, 1000)
    at = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{at}.{rest:03d}Z-{event.rule}-{frame.stamp.index}"
