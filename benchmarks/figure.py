"""What a benchmark gives, and how long it may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table. ``reached`` is None where the target does not apply to what was measured."""

    what: str
    target: str
    measured: str
    reached: bool | None
    spread: str = ""
    best_known: str = ""


@dataclass(frozen=True, slots=True)
class Effort:
    """``share`` of the usual number of repetitions: 1 gives the table that is kept, less a first look."""

    share: float = 1.0

    def times(self, usual: int) -> int:
        """Give how often to repeat what is usually done ``usual`` times; never less than three."""
        return max(3, round(usual * self.share))


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that ``share`` of all are at or below (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """Give the middle value."""
    return quantile(values, 0.5)
