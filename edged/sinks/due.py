"""Which results are worth a message: all, those that say something new, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Literal

from edged.domain.result import Anomaly, Classes, Result

Mode = Literal["all", "changes", "none"]


class Due:
    """Decides for one pipeline. ``at_least_every_s`` counts on the source's own time and only with ``changes``."""

    def __init__(self, mode: Mode, at_least_every_s: float | None = None) -> None:
        self._mode = mode
        self._every_s = at_least_every_s
        self._said: Hashable = None
        self._said_s = 0.0

    def __call__(self, result: Result) -> bool:
        """Whether this result is due; if so, later ones are held against it."""
        if self._mode != "changes":
            return self._mode == "all"
        now, now_s = meaning(result), result.stamp.source_s
        silent_s = abs(now_s - self._said_s)
        if now == self._said and (self._every_s is None or silent_s < self._every_s):
            return False
        self._said, self._said_s = now, now_s
        return True


def meaning(result: Result) -> Hashable:
    """Give what a reader would call the same answer: status and verdict, the top class, or how many of each label."""
    output = result.output
    if output is None:
        return (result.status, result.reason)
    if isinstance(output, Anomaly):
        return (result.status, output.is_anomaly)
    if isinstance(output, Classes):
        return (result.status, output.items[0].label if output.items else None)
    return (result.status, frozenset(Counter(item.label for item in output.items).items()))
