"""What a rule waits for, made from its ``when``: label, score, zone, count, anomaly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edged.config.count import Count
from edged.domain.result import Anomaly, Box, Classes, ClassScore, Detection, Detections, Output

Point = tuple[float, float]
ONE_OR_MORE = Count(">=", 1)


@dataclass(frozen=True, slots=True)
class When:
    """A condition on one answer. None means that it is not asked for.

    ``zone`` is a polygon in fractions of the frame; a detection is in it with the centre of its box. ``count`` compares the number
    of detections or classes that pass label, score and zone. ``anomaly``, ``min_value`` and ``max_value`` ask an anomaly model for its
    verdict and its score; with none of them an anomaly is waited for.
    """

    label: str | None = None
    min_score: float = 0.0
    zone: tuple[Point, ...] | None = None
    count: Count = ONE_OR_MORE
    anomaly: bool | None = None
    min_value: float | None = None
    max_value: float | None = None

    def __call__(self, output: Output) -> bool:
        """Whether the answer shows it."""
        if isinstance(output, Anomaly):
            return self._judges(output)
        return self.count.holds(len(self.matching(output)))

    def matching(self, output: Detections | Classes) -> Sequence[Detection | ClassScore]:
        """Give the items that pass label, score and zone."""
        return [item for item in output.items if self._passes(item)]

    def _judges(self, output: Anomaly) -> bool:
        if self.min_value is not None and output.score < self.min_value:
            return False
        if self.max_value is not None and output.score > self.max_value:
            return False
        if self.anomaly is None and (self.min_value is not None or self.max_value is not None):
            return True
        return output.is_anomaly == (self.anomaly is not False)

    def _passes(self, item: Detection | ClassScore) -> bool:
        if self.label is not None and item.label != self.label:
            return False
        if item.score < self.min_score:
            return False
        return self.zone is None or (isinstance(item, Detection) and inside(self.zone, centre(item.box)))


def centre(box: Box) -> Point:
    """Give the middle of a box."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2


def inside(polygon: Sequence[Point], point: Point) -> bool:
    """Whether a point lies in a polygon, by counting the edges that a ray to the right crosses (even-odd rule)."""
    x, y = point
    crossings = 0
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            crossings += 1
    return crossings % 2 == 1
