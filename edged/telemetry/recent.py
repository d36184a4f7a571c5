"""A histogram's last seconds: what came in since, as the difference of two of its states."""

from __future__ import annotations

from collections import deque
from operator import sub

from edged.telemetry.metrics import Histogram

ROUNDS = 10
"""Looks that are remembered: at one a second, ten seconds."""
LEAST = 5
"""Fewer values say nothing of a share."""


class Recent:
    """Looked at regularly; each look forgets the one ``rounds`` before it. Not thread-safe, but for the histogram's writer."""

    def __init__(self, histogram: Histogram, rounds: int = ROUNDS) -> None:
        self._histogram = histogram
        self._counts: deque[list[int]] = deque([list(histogram.counts)], maxlen=rounds + 1)

    def quantile(self, share: float) -> float | None:
        """Look, and give the time in ms that ``share`` of the last values are at or below; None when there were too few."""
        counts = list(self._histogram.counts)
        since = Histogram()
        since.counts = list(map(sub, counts, self._counts[0]))
        since.count = sum(since.counts)
        self._counts.append(counts)
        return since.quantile(share) if since.count >= LEAST else None
