"""What will never be sent: counted, and declared by gap records so that the fleet knows what it does not know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edged.fleet.trouble import Trouble

GAP_SCHEMA = "edged.gap/1"
SKIPPED = "numbers-skipped"
DECLARE_NS = 2_000_000_000
"""Losses are declared together: one record a stream and reason, at most this often."""
REJECTED_NS = 600_000_000_000
"""How long a rejected document is worth a reason in health."""
MAX_TOLD = 8
"""Streams that are told at once: health is a document, too."""
REPORT = "look at what the model or the sensor gives there; the log has a line for each document"


@dataclass(frozen=True, slots=True)
class Gap:
    """Documents of one stream that will never be sent, and why. ``count`` of the numbers between the two are missing."""

    stream: str
    reason: str
    first_seq: int
    last_seq: int
    count: int

    def with_one_more(self, seq: int) -> Gap:
        """Give this gap with one more document in it."""
        return Gap(self.stream, self.reason, min(self.first_seq, seq), max(self.last_seq, seq), self.count + 1)

    def joined(self, other: Gap) -> Gap:
        """Give both as one."""
        first_seq, last_seq = min(self.first_seq, other.first_seq), max(self.last_seq, other.last_seq)
        return Gap(self.stream, self.reason, first_seq, last_seq, self.count + other.count)

    def body(self, stamps: dict[str, Any]) -> dict[str, Any]:
        """Build the body of an edged.gap/1."""
        return {
            "schema": GAP_SCHEMA,
            **stamps,
            "stream": self.stream,
            "first_seq": self.first_seq,
            "last_seq": self.last_seq,
            "count": self.count,
            "reason": self.reason,
        }


class Losses:
    """Gaps that are not yet declared, and counts since the start."""

    def __init__(self) -> None:
        self._gaps: dict[tuple[str, str], Gap] = {}
        self.by_stream: Counter[str] = Counter()
        self.due_ns: int | None = None

    @property
    def gaps(self) -> list[Gap]:
        """What is not yet declared."""
        return list(self._gaps.values())

    def adopt(self, gaps: Iterable[Gap], now_ns: int) -> None:
        """Take over what an earlier run could not declare any more."""
        for gap in gaps:
            self._join(gap, now_ns - DECLARE_NS)

    def add(self, lost: Iterable[tuple[str, int]], reason: str, now_ns: int) -> None:
        """Count documents, given as (stream, seq)."""
        for stream, seq in lost:
            known = self._gaps.get((stream, reason))
            self._gaps[stream, reason] = known.with_one_more(seq) if known else Gap(stream, reason, seq, seq, 1)
            self.by_stream[stream] += 1
        if self._gaps and self.due_ns is None:
            self.due_ns = now_ns + DECLARE_NS

    def skip(self, numbers: Mapping[str, int], last_seq: int, now_ns: int) -> None:
        """Declare that behind these, by stream, no number is given up to ``last_seq``: it may have been before. Nothing is lost by it."""
        for stream, seq in numbers.items():
            if seq < last_seq:
                self._join(Gap(stream, SKIPPED, seq + 1, last_seq, 0), now_ns - DECLARE_NS)

    def tell_again(self, payload: bytes, now_ns: int) -> None:
        """Take back the gap that a document told of, which will never be sent itself; other documents tell of none."""
        body = json.loads(payload)
        if body.get("schema") != GAP_SCHEMA:
            return
        self._join(Gap(body["stream"], body["reason"], body["first_seq"], body["last_seq"], body["count"]), now_ns)

    def _join(self, gap: Gap, now_ns: int) -> None:
        known = self._gaps.get((gap.stream, gap.reason))
        self._gaps[gap.stream, gap.reason] = known.joined(gap) if known else gap
        if self.due_ns is None:
            self.due_ns = now_ns + DECLARE_NS

    @contextmanager
    def unless_it_fails(self) -> Iterator[None]:
        """Take back what is counted inside when the disk does not take it: nothing was given up then, and it would count twice."""
        before = dict(self._gaps), self.by_stream.copy(), self.due_ns
        try:
            yield
        except BaseException:
            self._gaps, self.by_stream, self.due_ns = before
            raise

    def take_all(self) -> list[Gap]:
        """Give everything that is not yet declared, for good."""
        gaps = self.gaps
        self._gaps.clear()
        self.due_ns = None
        return gaps


@dataclass(frozen=True, slots=True)
class Rejected:
    """Documents of one stream that could not be written as the contract has them: how many, when and why the last one."""

    count: int
    last_ns: int
    why: str


class Rejections:
    """What was rejected, by stream. Written by one thread, read by any."""

    def __init__(self) -> None:
        self._by_stream: dict[str, Rejected] = {}

    def add(self, stream: str, why: str, now_ns: int) -> None:
        """Count a document."""
        known = self._by_stream.get(stream)
        self._by_stream[stream] = Rejected(known.count + 1 if known else 1, now_ns, why)

    def troubles(self, now_ns: int) -> tuple[Trouble, ...]:
        """Tell of each stream that lost one within the last minutes."""
        recent = {stream: one for stream, one in dict(self._by_stream).items() if now_ns - one.last_ns < REJECTED_NS}
        return tuple(
            Trouble("documents-rejected", stream, _rejection(stream, one), REPORT)
            for stream, one in sorted(recent.items())[:MAX_TOLD]
        )


def _rejection(stream: str, one: Rejected) -> str:
    many = "document" if one.count == 1 else "documents"
    return f"cannot send {one.count} {many} of {stream} since the start: {one.why}, expected finite numbers and 128 KiB at most"


@dataclass(slots=True)
class Counts:
    """What happened since the start.

    ``rejected`` could not be written as a document of the contract; ``unstored`` were kept in memory only.
    """

    committed: int = 0
    acknowledged: int = 0
    rejected: int = 0
    unstored: int = 0
    faults: int = 0
