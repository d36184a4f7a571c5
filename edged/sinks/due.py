"""Which results are worth a message: all, those that say something new, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal

from edged.domain.result import Anomaly, Classes, Detections, Keypoints, Mask, Output, Result, Values, by_kind

Mode = Literal["all", "changes", "none"]
TOLD_SHARE = 0.01
"""A class on less of a mask than this comes and goes with the noise of single pixels."""


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

    def forget(self) -> None:
        """Take it that nothing was said: the last one that was due did not get away."""
        self._said = None


def meaning(result: Result) -> Hashable:
    """Give what a reader would call the same answer.

    Status and verdict of an anomaly, the top class, how many detections of each label, which points of a pose are seen, which classes cover
    at least a hundredth of a mask, and a regression's values to two significant digits.
    """
    if result.output is None:
        return (result.status, result.reason)
    return (result.status, _MEANINGS[type(result.output)](result.output))


def _verdict(output: Anomaly) -> Hashable:
    return output.is_anomaly


def _top(output: Classes) -> Hashable:
    return output.items[0].label if output.items else None


def _counts(output: Detections) -> Hashable:
    return frozenset(Counter(item.label for item in output.items).items())


def _points(output: Keypoints) -> Hashable:
    return frozenset(item.label for item in output.items)


def _numbers(output: Values) -> Hashable:
    return tuple(f"{item.value:.2g}" for item in output.items)


def _covering(output: Mask) -> Hashable:
    return frozenset(item.label for item in output.items if item.share >= TOLD_SHARE)


_MEANINGS: Mapping[type[Output], Callable[[Any], Hashable]] = by_kind(
    detections=_counts, classes=_top, anomaly=_verdict, keypoints=_points, values=_numbers, mask=_covering
)
