"""How much of the time may be spent measuring, so that running pipelines hardly feel it: pure.

The promise is that no pipeline's 99th percentile grows by more than 10 %. It is kept when of all frames at most 1 % take longer
than 1.1 times the quiet p99. Of the quiet frames a part ``q`` does so anyway, of those that ended while something was measured a
part ``d``; with a share ``s`` of the time spent measuring, ``(1 - s) q + s d <= 0.01``, thus ``s <= (0.01 - q) / (d - q)``. Half of
that is used. ``d`` is estimated from above (no slow frame among n says no more than ``d < 3 / n``, the rule of three): without
evidence the share begins at half a per cent, and it grows as frames prove to be unharmed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, zip_longest

SLOW_PART = 0.01
SAFETY = 0.5
LEAST_SHARE = SLOW_PART * SAFETY
"""So few frames that the 99th percentile cannot feel them, however slow they are."""
MOST_SHARE = 0.25
"""Also a box that feels nothing is to stay cool."""
MIN_QUIET_FRAMES = 200
"""Below, a 99th percentile is two frames or less."""
RULE_OF_THREE = 3
REMEMBERED_FRAMES = 20_000
"""Older frames count half as soon as there are so many: an hour at 5 frames a second."""

Counts = tuple[int, ...]
"""Frames by bucket of their time, as a histogram has them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One pipeline's frames: while nothing was measured, and those that ended while something was."""

    quiet: Counts = ()
    busy: Counts = ()

    def with_frames(self, added: Sequence[int], *, busy: bool) -> Evidence:
        """Count more frames."""
        mine = self.busy if busy else self.quiet
        counts = tuple(old + new for old, new in zip_longest(mine, added, fillvalue=0))
        whole = Evidence(self.quiet, counts) if busy else Evidence(counts, self.busy)
        return _halved(whole) if sum(counts) > REMEMBERED_FRAMES else whole


def share(evidence: Mapping[str, Evidence]) -> float:
    """Give the share of the time that may be spent measuring; what the most sensitive pipeline bears."""
    return min((_bearable(one) for one in evidence.values()), default=MOST_SHARE)


def pause_s(busy_s: float, share_: float) -> float:
    """Give how long to rest after so long a burst."""
    return busy_s * (1 - share_) / share_


def _halved(evidence: Evidence) -> Evidence:
    return Evidence(tuple(count // 2 for count in evidence.quiet), tuple(count // 2 for count in evidence.busy))


def _bearable(evidence: Evidence) -> float:
    frames = sum(evidence.quiet)
    if frames < MIN_QUIET_FRAMES:
        return LEAST_SHARE
    slow = _slow_from(evidence.quiet)
    quiet = sum(evidence.quiet[slow:]) / frames
    busy_frames = sum(evidence.busy)
    busy = min(1.0, (sum(evidence.busy[slow:]) + RULE_OF_THREE) / (busy_frames + RULE_OF_THREE))
    if busy <= quiet:
        return MOST_SHARE
    bearable = SAFETY * (SLOW_PART - quiet) / (busy - quiet)
    return max(LEAST_SHARE, min(MOST_SHARE, bearable))


def _slow_from(counts: Counts) -> int:
    """Give the first bucket beyond the one of the 99th percentile; buckets are 12 % wide."""
    return bisect_left(list(accumulate(counts)), (1 - SLOW_PART) * sum(counts)) + 1
