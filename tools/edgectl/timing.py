"""How evenly something arrives: rate, jitter and gaps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edged.domain.tensor import Array

MIDDLE, USUAL = 50, 95
"""Percent of the arrivals that jitter speaks of: the rest is told as gaps."""
GAP_STEPS, GAP_S = 2.5, 0.1
"""So much later than even spacing wants it is a gap; the least time is above what USB adapters hold bytes back for (16 ms)."""
MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class Timing:
    """What arrivals tell. ``jitter_ms``: 95 of 100 come at most so much before or behind even spacing from the one before."""

    count: int
    seconds: float
    rate_hz: float | None
    jitter_ms: float | None
    gaps: int
    longest_gap_ms: float | None

    def told(self) -> dict[str, float | int | None]:
        """Give it as JSON has it."""
        return {
            "count": self.count,
            "seconds": _rounded(self.seconds),
            "rate_hz": _rounded(self.rate_hz),
            "jitter_ms": _rounded(self.jitter_ms),
            "gaps": self.gaps,
            "longest_gap_ms": _rounded(self.longest_gap_ms),
        }


def timing(times_s: Sequence[float], counts: Sequence[int] | None = None) -> Timing:
    """Judge arrivals at ``times_s``, of which each brought so many of ``counts`` (one, where None).

    The usual step is the middle of the steps, so that a gap does not hide in the rate; the rate is that of all that came.
    """
    times = np.asarray(times_s, np.float64)
    brought = np.ones(len(times)) if counts is None else np.asarray(counts, np.float64)
    total, seconds = int(brought.sum()), float(times[-1] - times[0]) if len(times) else 0.0
    if len(times) < 2 or seconds <= 0:
        return Timing(total, seconds, None, None, 0, None)
    steps, brought = np.diff(times), brought[1:]
    usual_s = float(np.median(steps / brought))
    late = steps - brought * usual_s
    is_gap = late > max(GAP_STEPS * usual_s, GAP_S)
    jitter_ms = float(np.percentile(np.abs(late[~is_gap]), USUAL)) * MS_PER_S if (~is_gap).any() else None
    longest_ms = float(steps[is_gap].max()) * MS_PER_S if is_gap.any() else None
    return Timing(total, seconds, float(brought.sum()) / seconds, jitter_ms, int(is_gap.sum()), longest_ms)


def percentile(values: Array | Sequence[float], share: float) -> float | None:
    """Give the value that so many percent lie below, to a tenth; None of nothing."""
    return round(float(np.percentile(np.asarray(values, np.float64), share)), 1) if len(values) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
