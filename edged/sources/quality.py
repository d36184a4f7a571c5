"""How much of what comes over a line makes sense, and what it means when it does not. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["fine", "wrong-baud", "wrong-format", "garbage"]

WINDOW_S = 5.0
"""So long the errors must prevail (longer for a sensor that says little): noise comes in bursts that are shorter."""

ERROR_SHARE = 0.5
"""More than this is no noise: a line so bad would have been mended, while a wrong rate spoils nearly everything."""

PRINTABLE_SHARE = 0.9
"""Text at a wrong rate is noise, of which a third is printable; text of a wrong format is printable throughout."""

MIN_FRAMES = 8
"""Fewer tell nothing: a sensor that speaks every ten seconds has one bad line in a window now and then."""

BUCKETS = 10
"""Parts of the window: a verdict comes at most a tenth of it late."""


@dataclass(slots=True)
class _Bucket:
    began_s: float
    frames: int = 0
    good: int = 0
    bad: int = 0
    bad_printable: int = 0


class LineQuality:
    """Counts bytes that belonged to good frames and bytes that did not. Bytes, since noise has no frames to count.

    Args:
        is_text: whether lines of text are expected, so that printable garbage tells a wrong format from a wrong rate.
        budget_bytes: so much garbage in a row, without a single good frame, ends the patience at once.
    """

    def __init__(self, *, is_text: bool, budget_bytes: int) -> None:
        self._is_text = is_text
        self._budget_bytes = budget_bytes
        self._since_good = 0
        self._buckets: deque[_Bucket] = deque()

    def good(self, size: int, now_s: float) -> None:
        """Count a good frame of this many bytes."""
        self._since_good = 0
        self._count(now_s).good += size

    def bad(self, garbage: bytes | int, now_s: float) -> None:
        """Count garbage: the bytes themselves, or how many where they are not known."""
        size = garbage if isinstance(garbage, int) else len(garbage)
        self._since_good += size
        bucket = self._count(now_s)
        bucket.bad += size
        if isinstance(garbage, bytes):
            bucket.bad_printable += sum(32 <= byte < 127 or byte == 9 for byte in garbage)  # noqa: PLR2004 - ASCII: printable, tab

    def verdict(self, now_s: float) -> Verdict:
        """Say what the garbage means."""
        if self._since_good > self._budget_bytes:
            return self._cause("garbage")
        frames = sum(bucket.frames for bucket in self._buckets)
        if frames < MIN_FRAMES or now_s - self._buckets[0].began_s < WINDOW_S:
            return "fine"
        return self._cause("wrong-baud") if self.error_share > ERROR_SHARE else "fine"

    @property
    def error_share(self) -> float:
        """The share of the newest bytes that belonged to no good frame, 0..1."""
        bad, good = sum(b.bad for b in self._buckets), sum(b.good for b in self._buckets)
        return bad / (good + bad) if good + bad else 0.0

    def __repr__(self) -> str:
        """Say how bad it is."""
        return f"<LineQuality {self.error_share:.0%} errors>"

    def _cause(self, otherwise: Verdict) -> Verdict:
        bad = sum(bucket.bad for bucket in self._buckets)
        printable = sum(bucket.bad_printable for bucket in self._buckets)
        return "wrong-format" if self._is_text and printable >= PRINTABLE_SHARE * bad else otherwise

    def _count(self, now_s: float) -> _Bucket:
        """Give the bucket of now, with a frame counted in, and forget those that are old."""
        if not self._buckets or now_s - self._buckets[-1].began_s >= WINDOW_S / BUCKETS:
            self._buckets.append(_Bucket(now_s))
        while self._is_old(self._buckets[0], now_s):
            self._buckets.popleft()
        bucket = self._buckets[-1]
        bucket.frames += 1
        return bucket

    def _is_old(self, bucket: _Bucket, now_s: float) -> bool:
        left = sum(other.frames for other in self._buckets) - bucket.frames
        return now_s - bucket.began_s > WINDOW_S * (1 + 1 / BUCKETS) and left >= MIN_FRAMES
