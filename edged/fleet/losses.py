"""What will never be sent: counted, and declared by gap records so that the fleet knows what it does not know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

DECLARE_NS = 2_000_000_000
"""Losses are declared together: one record a stream and reason, at most this often."""


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

    def body(self, stamps: dict[str, Any]) -> dict[str, Any]:
        """Build the body of an edged.gap/1."""
        return {
            "schema": "edged.gap/1",
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
        self._gaps.update({(gap.stream, gap.reason): gap for gap in gaps})
        if self._gaps:
            self.due_ns = now_ns

    def add(self, lost: Iterable[tuple[str, int]], reason: str, now_ns: int) -> None:
        """Count documents, given as (stream, seq)."""
        for stream, seq in lost:
            known = self._gaps.get((stream, reason))
            self._gaps[stream, reason] = known.with_one_more(seq) if known else Gap(stream, reason, seq, seq, 1)
            self.by_stream[stream] += 1
        if self._gaps and self.due_ns is None:
            self.due_ns = now_ns + DECLARE_NS

    def take_all(self) -> list[Gap]:
        """Give everything that is not yet declared, for good."""
        gaps = self.gaps
        self._gaps.clear()
        self.due_ns = None
        return gaps


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
