"""Traces: where the time of one frame, or of one request, went, told to whoever collects that from many programs.

A ``traceparent`` names a trace and the step of it that caused what it comes with: https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

NAME = "traceparent"
"""Of the HTTP header, gRPC's metadata, MQTT's user property, and the documents' key."""
CHARS = 55
SAMPLED = 0x01
_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_UNKNOWN_VERSION = "ff"

Kind = Literal["internal", "server"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One step of a trace. ``is_sampled``: its spans are collected."""

    trace_id: int
    span_id: int
    is_sampled: bool

    def __post_init__(self) -> None:
        """Refuse ids that the standard calls invalid."""
        if not 0 < self.trace_id < 1 << 128 or not 0 < self.span_id < 1 << 64:
            message = (
                f"cannot build trace {self.trace_id:x}-{self.span_id:x}, expected ids of 128 and 64 bits that are not 0"
            )
            raise ValueError(message)

    def __str__(self) -> str:
        """Write it as a traceparent."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{SAMPLED if self.is_sampled else 0:02x}"


@dataclass(frozen=True, slots=True)
class Span:
    """A step that is over. Times are Unix nanoseconds; ``failure`` says why it failed, empty when it did not."""

    name: str
    trace: Trace
    parent_id: int | None
    start_ns: int
    end_ns: int
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    failure: str = ""
    kind: Kind = "internal"


Export = Callable[[Sequence[Span]], None]
"""Takes spans, at once and whatever becomes of them: called from pipelines' threads."""


def read_traceparent(text: str) -> Trace | None:
    """Read a traceparent; None for what is none. Of a later version its beginning counts, as the standard wants it."""
    found = _FORM.fullmatch(text)
    if found is None or found[1] == _UNKNOWN_VERSION or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    return Trace(trace_id, span_id, bool(int(found[4], 16) & SAMPLED))


@dataclass(frozen=True, slots=True)
class Tracer:
    """Begins traces, of which it collects a ``share``; what belongs to a trace of somebody else's is collected as that one is."""

    share: float
    export: Export
    bits: Callable[[int], int] = random.getrandbits

    def begin(self, parent: Trace | None = None) -> Trace:
        """Begin a trace, or the next step of ``parent``."""
        if parent is not None:
            return self.child(parent)
        trace_id = self._id(128)
        # By the id itself, as OpenTelemetry's TraceIdRatioBased does it: whoever samples by the same share keeps the same traces.
        return Trace(trace_id, self._id(64), (trace_id & (1 << 64) - 1) < self.share * (1 << 64))

    def child(self, parent: Trace) -> Trace:
        """Give a step below another."""
        return Trace(parent.trace_id, self._id(64), parent.is_sampled)

    def _id(self, bits: int) -> int:
        return self.bits(bits) or 1
