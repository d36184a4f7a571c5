"""What a rule waits for, made from its ``when``: label, score, zone, count, anomaly, value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edged.config.count import Count
from edged.domain.result import (
    Anomaly,
    Box,
    Classes,
    ClassScore,
    Detection,
    Detections,
    Keypoint,
    Keypoints,
    Mask,
    Output,
    Segment,
    Value,
    Values,
)
from edged.pipeline.paths import Crossing, Dwell

Point = tuple[float, float]
Item = Detection | ClassScore | Keypoint | Value | Segment
ONE_OR_MORE = Count(">=", 1)


@dataclass(frozen=True, slots=True)
class Then:
    """What a further model has to have said of a detection; ``absent`` turns it round. Not looked at is no evidence of either."""

    model: str
    label: str | None = None
    min_score: float = 0.0
    absent: bool = False

    def holds(self, item: Item) -> bool:
        """Whether the model looked at this item, and said so (or nothing of the kind)."""
        said = (
            [further.output for further in item.then if further.model == self.model]
            if isinstance(item, Detection)
            else []
        )
        if not said:
            return False
        wanted = When(label=self.label, min_score=self.min_score)
        return any(wanted(output) for output in said) != self.absent


@dataclass(frozen=True, slots=True)
class When:
    """A condition on one answer. None means that it is not asked for.

    ``zone`` is a polygon in fractions of the frame; a detection is in it with the centre of its box, a keypoint with itself. ``count``
    compares the number of items that pass label, score and zone. ``anomaly``, ``min_value`` and ``max_value`` ask an anomaly model for
    its verdict and its score; with none of them an anomaly is waited for. The latter two also ask for a regression's value, and for the
    part of a mask that a class covers, 0..1. ``then`` asks what a further model said of a detection.
    """

    label: str | None = None
    min_score: float = 0.0
    zone: tuple[Point, ...] | None = None
    count: Count = ONE_OR_MORE
    anomaly: bool | None = None
    min_value: float | None = None
    max_value: float | None = None
    then: Then | None = None

    def __call__(self, output: Output, now_s: float = 0.0) -> bool:
        """Whether the answer shows it; one answer is enough to tell, whenever it was given."""
        del now_s
        if isinstance(output, Anomaly):
            return self._judges(output)
        return self.count.holds(len(self.matching(output)))

    def matching(self, output: Detections | Classes | Keypoints | Values | Mask) -> Sequence[Item]:
        """Give the items that pass label, score, zone and value."""
        return [item for item in output.items if self.passes(item)]

    def _judges(self, output: Anomaly) -> bool:
        if not self._bounds(output.score):
            return False
        if self.anomaly is None and (self.min_value is not None or self.max_value is not None):
            return True
        return output.is_anomaly == (self.anomaly is not False)

    def _bounds(self, value: float) -> bool:
        if self.min_value is not None and value < self.min_value:
            return False
        return self.max_value is None or value <= self.max_value

    def passes(self, item: Item) -> bool:
        """Whether one item of an answer passes label, score, zone and value."""
        if self.label is not None and item.label != self.label:
            return False
        if isinstance(item, Value | Segment):
            return self.zone is None and self._bounds(item.value if isinstance(item, Value) else item.share)
        if item.score < self.min_score or (self.then is not None and not self.then.holds(item)):
            return False
        return self.zone is None or (not isinstance(item, ClassScore) and inside(self.zone, place_of(item)))


@dataclass(slots=True)
class Moving:
    """A condition on what followed objects do: ``count`` of ``when`` compares those that pass it and every one of ``paths``."""

    when: When
    paths: tuple[Crossing | Dwell, ...]

    def __call__(self, output: Output, now_s: float) -> bool:
        """Whether the newest answer, and what is remembered of those before, shows it. Only detections move."""
        items = [item for item in output.items if self.when.passes(item)] if isinstance(output, Detections) else []
        for path in self.paths:
            items = path.step(items, now_s)
        return self.when.count.holds(len(items))


def place_of(item: Detection | Keypoint) -> Point:
    """Give where an item is: a point itself, or the centre of a box."""
    return (item.x, item.y) if isinstance(item, Keypoint) else centre(item.box)


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
