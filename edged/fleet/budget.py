"""How much may still go out today. Decisions only: who asks brings the documents' sizes, the clock is an argument.

What is left of the day's bytes over what is left of the day is the rate at which a bucket fills. Results leave half of
the bucket to telemetry, events and levels are never held back but counted: whatever they take, the rest of the day's
results are thinned for it evenly, and telemetry is slowed once there are no results left to thin.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from edged.domain.ports import Clock
from edged.fleet.bucket import Bucket

DAY_S = 86_400
NS = 1_000_000_000
BURST_S = 300.0
"""The bucket holds so much of the rate: a visit's burst of changes passes unthinned."""
LEAST_BURST_BYTES = 32_768.0
"""And room for what the box says of itself when it starts, some 10 KB of levels, however small the budget is."""
NEVER_THINNED, RESULTS, TELEMETRY = 0, 1, 2
"""Priorities of documents (edged.domain.message.Draft)."""
RECENT_S = 300.0
"""How long a thinned document is worth a reason in health."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What survives a restart: bytes of ``day`` (days since 1970 in UTC; None: the clock was never right), and how much of it was left."""

    used_bytes: float = 0.0
    day: int | None = None
    left_s: float = DAY_S

    def to_json(self) -> bytes:
        """Write it down."""
        return json.dumps({"used_bytes": int(self.used_bytes), "day": self.day, "left_s": int(self.left_s)}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Spent:
        """Read what ``to_json`` wrote. Raises ValueError when it is something else."""
        document = json.loads(content)
        try:
            used, day, left_s = float(document["used_bytes"]), document["day"], float(document["left_s"])
        except (KeyError, TypeError) as error:
            message = f"cannot read what was spent: {error!r}, expected used_bytes, day and left_s"
            raise ValueError(message) from error
        return cls(max(0.0, used), day if isinstance(day, int) else None, min(DAY_S, max(0.0, left_s)))


class Budget:
    """Bytes a day. A day is UTC's while the clock is right, and 24 h of the monotonic clock while it is not."""

    def __init__(self, limit_bytes: float, clock: Clock, spent: Spent = Spent()) -> None:
        self.limit_bytes = limit_bytes
        self._clock = clock
        now_ns = clock.monotonic_ns()
        self._used, self._day = spent.used_bytes, spent.day
        self._ends_ns = now_ns + int(spent.left_s * NS)
        self._bucket = Bucket(self._most() if self._used < limit_bytes else 0.0, now_ns)
        self._roll(now_ns)
        self._thinned_ns: int | None = None
        self.thinned: Counter[str] = Counter()
        """Documents that were not sent, by stream."""

    def admit(self, stream: str, size: int, priority: int) -> bool:
        """Whether a document of ``size`` bytes shall go out; what shall is counted."""
        now_ns = self._clock.monotonic_ns()
        self._roll(now_ns)
        rate, most = self._rate(), self._most()
        if priority < RESULTS:
            self._bucket.take(size, now_ns, rate, most, above=float("-inf"))
        elif self._used >= self.limit_bytes or not self._bucket.take(
            size, now_ns, rate, most, above=most / 2 if priority == RESULTS else 0.0
        ):
            self.thinned[stream] += 1
            self._thinned_ns = now_ns
            return False
        self._used += size
        return True

    @property
    def spent(self) -> Spent:
        """What to keep for the next start."""
        return Spent(self._used, self._day, self._left_s())

    @property
    def is_thinning(self) -> bool:
        """Whether something was held back within the last minutes."""
        if self._thinned_ns is None:
            return False
        return self._clock.monotonic_ns() - self._thinned_ns < RECENT_S * NS

    def figures(self) -> dict[str, int]:
        """Give what telemetry carries."""
        self._roll(self._clock.monotonic_ns())
        return {
            "limit_bytes": int(self.limit_bytes),
            "used_bytes": int(self._used),
            "left_s": int(self._left_s()),
            "thinned": self.thinned.total(),
        }

    def _left_s(self) -> float:
        return max(1.0, (self._ends_ns - self._clock.monotonic_ns()) / NS)

    def _rate(self) -> float:
        return max(0.0, self.limit_bytes - self._used) / self._left_s()

    def _most(self) -> float:
        # Of the whole day's rate: that of the last minutes before midnight would let everything left out at once.
        return min(self.limit_bytes / 4, max(LEAST_BURST_BYTES, self.limit_bytes / DAY_S * BURST_S))

    def _roll(self, now_ns: int) -> None:
        """Begin a new day when the old one is over."""
        if not self._clock.synced():
            if now_ns >= self._ends_ns:
                self._begin_day()
                self._ends_ns = now_ns + DAY_S * NS
            return
        day, of_day_ns = divmod(self._clock.wall_ns(), DAY_S * NS)
        # The first right time names the day that was already being spent; a step back over midnight opens no second one.
        if self._day is not None and day not in {self._day, self._day - 1}:
            self._begin_day()
        if self._day is None or day != self._day - 1:
            self._day = day
        self._ends_ns = now_ns + DAY_S * NS - of_day_ns

    def _begin_day(self) -> None:
        self._used = 0.0
        self._bucket.level = self._most()
