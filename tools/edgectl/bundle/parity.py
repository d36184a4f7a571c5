"""Whether a variant says what its float reference says: the figures of the gate, and what each has to reach.

Where the reference itself is undecided, a difference says nothing of the variant, and is not counted: see each comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edged.domain.errors import ConfigError
from edged.domain.result import Anomaly, Classes, Detection, Detections, Keypoints, Mask, Output, Values, by_kind
from edged.pipeline.postprocess.agree import TOLD_SHARE, iou, pixels

AGREE = 0.98
"""Of classes, verdicts and pairs: a point or two is what a good int8 costs; the bad ones lost five and more."""
FOUND = 0.95
"""Of objects and points: a detector's faint ones come and go with the last bits of its scores."""
OVERLAP = 0.9
"""Mean IoU. Good int8 detectors gave 0.95 and more here, the bad YOLOX file 0.1."""
TIE = 0.05
"""Two classes whose scores differ by less are a tie."""
CLEAR = 0.1
"""A detection whose score lies this far above the decoder's minimum is sure; scores a tenth apart are in a clear order."""
SAME_PLACE = 0.5
"""IoU from which on two boxes are of the same object: PASCAL VOC's."""
DISTANCE = 0.05
"""Of a keypoint, as a fraction of the frame: a golden sample's default."""
SPREAD = 0.1
"""Of a value's differences, as a share of what the reference's values spread."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure and its bound: at least ``wanted``, or at most where ``is_limit``."""

    name: str
    value: float
    wanted: float
    is_limit: bool = False

    @property
    def holds(self) -> bool:
        """Whether the bound is kept; a figure that is no number keeps none."""
        return self.value <= self.wanted if self.is_limit else self.value >= self.wanted

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3f}, expected at {'most' if self.is_limit else 'least'} {self.wanted:g}"


@dataclass(frozen=True, slots=True)
class Parity:
    """All figures; the first is the one that tables show."""

    figures: tuple[Figure, ...]

    @property
    def faults(self) -> tuple[Figure, ...]:
        """The figures that do not keep their bound."""
        return tuple(figure for figure in self.figures if not figure.holds)

    @property
    def agreement(self) -> float:
        """How far the variant says what the reference says, 0..1."""
        return self.figures[0].value


def compare(reference: Sequence[Output], got: Sequence[Output], min_score: float) -> Parity:
    """Hold a variant's answers against the reference's, sample by sample.

    Args:
        reference: The float file's answers.
        got: The variant's, in the same order.
        min_score: Below it the decoder tells no detection: what lies just above may be missing in one of them.

    Raises:
        ConfigError: The reference says nothing on any sample that could be compared.
    """
    figures = tuple(_COMPARISONS[type(reference[0])](reference, got, min_score))
    if not figures:
        message = f"cannot judge by these samples: the float reference finds nothing sure on any of {len(reference)}"
        raise ConfigError(message, remedy="give samples that show what the model is made for")
    return Parity(figures)


def _classes(reference: Sequence[Classes], got: Sequence[Classes], min_score: float) -> Iterator[Figure]:
    del min_score
    pairs = [(wanted, found) for wanted, found in zip(reference, got, strict=True) if wanted.items]
    if pairs:
        yield Figure("classes agree", float(np.mean([_same_class(*pair) for pair in pairs])), AGREE)


def _same_class(wanted: Classes, got: Classes) -> bool:
    """Tell whether the best class is the reference's best, or one that the reference holds for as good."""
    if not got.items:
        return False
    scores = {item.label: item.score for item in wanted.items}
    return (
        scores.get(got.items[0].label, -1.0) > wanted.items[0].score - TIE
        or got.items[0].label == wanted.items[0].label
    )


def _detections(reference: Sequence[Detections], got: Sequence[Detections], min_score: float) -> Iterator[Figure]:
    sure = min_score + CLEAR
    overlaps = [
        _best(item, found.items, item.label)
        for wanted, found in zip(reference, got, strict=True)
        for item in wanted.items
        if item.score >= sure
    ]
    if not overlaps:
        return
    surplus = sum(
        _best(item, wanted.items, item.label) < SAME_PLACE
        for wanted, found in zip(reference, got, strict=True)
        for item in found.items
        if item.score >= sure
    )
    seen = [overlap for overlap in overlaps if overlap > 0]
    yield Figure("boxes' mean IoU", float(np.mean(seen)) if seen else 0.0, OVERLAP)
    yield Figure("objects found", float(np.mean([overlap >= SAME_PLACE for overlap in overlaps])), FOUND)
    yield Figure("objects too many", surplus / len(overlaps), 1 - FOUND, is_limit=True)


def _best(item: Detection, others: Sequence[Detection], label: str) -> float:
    return max((iou(item, other) for other in others if other.label == label), default=0.0)


def _keypoints(reference: Sequence[Keypoints], got: Sequence[Keypoints], min_score: float) -> Iterator[Figure]:
    near = []
    for wanted, found in zip(reference, got, strict=True):
        places = {item.label: item for item in found.items}
        for item in (item for item in wanted.items if item.score >= min_score + CLEAR):
            other = places.get(item.label)
            near.append(other is not None and max(abs(other.x - item.x), abs(other.y - item.y)) <= DISTANCE)
    if near:
        yield Figure("points in place", float(np.mean(near)), FOUND)


def _mask(reference: Sequence[Mask], got: Sequence[Mask], min_score: float) -> Iterator[Figure]:
    del min_score
    shares = []
    for wanted, found in zip(reference, got, strict=True):
        if (wanted.width, wanted.height) != (found.width, found.height):
            shares.append(0.0)
            continue
        for label in (item.label for item in wanted.items if item.share >= TOLD_SHARE):
            one, other = pixels(wanted, label), pixels(found, label)
            shares.append(float((one & other).sum() / (one | other).sum()))
    if shares:
        yield Figure("masks' mean IoU", float(np.mean(shares)), OVERLAP)


def _anomaly(reference: Sequence[Anomaly], got: Sequence[Anomaly], min_score: float) -> Iterator[Figure]:
    del min_score
    wanted, found = (np.array([item.score for item in answers]) for answers in (reference, got))
    rows, columns = np.nonzero(wanted[:, None] > wanted[None, :] * (1 + CLEAR))
    if rows.size:
        yield Figure("scores in order", float(np.mean(found[rows] > found[columns])), AGREE)
    clear = [
        (one, other)
        for one, other in zip(reference, got, strict=True)
        if abs(one.score - one.threshold) > CLEAR * abs(one.threshold)
    ]
    if clear:
        same = [one.is_anomaly == other.is_anomaly for one, other in clear]
        yield Figure("verdicts agree", float(np.mean(same)), AGREE)


def _values(reference: Sequence[Values], got: Sequence[Values], min_score: float) -> Iterator[Figure]:
    del min_score
    wanted, found = (np.array([[item.value for item in one.items] for one in answers]) for answers in (reference, got))
    spread = wanted.std(axis=0)
    varying = spread > 0
    if varying.any():
        noise = np.sqrt(np.square(found - wanted).mean(axis=0))[varying] / spread[varying]
        yield Figure("values agree", 1.0 - float(noise.max()), 1.0 - SPREAD)


_COMPARISONS: Mapping[type[Output], Callable[[Any, Any, float], Iterator[Figure]]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_anomaly, keypoints=_keypoints, values=_values, mask=_mask
)
