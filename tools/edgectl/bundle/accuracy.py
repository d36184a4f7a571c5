"""How often answers are right, where the samples come with the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edged.domain.result import Classes, Detections, Output
from edged.pipeline.postprocess.agree import iou

SAME_PLACE = 0.5
"""IoU from which on a box has found its object: PASCAL VOC's."""
MAY_LOSE = 0.01
"""A point of accuracy against the float reference; what costs more is refused."""


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's name and its value, 0..1."""

    metric: str
    value: float


def measure(answers: Sequence[Output], truths: Sequence[Output | None]) -> Score | None:
    """Measure over the samples that have a truth; None where none has, or where the task has no metric here."""
    pairs = [(got, truth) for got, truth in zip(answers, truths, strict=True) if type(got) is type(truth)]
    if not pairs or type(pairs[0][0]) not in _METRICS:
        return None
    metric, function = _METRICS[type(pairs[0][0])]
    return Score(metric, function(pairs))


def _top1(pairs: Sequence[tuple[Classes, Classes]]) -> float:
    right = [bool(got.items) and got.items[0].label == truth.items[0].label for got, truth in pairs if truth.items]
    return float(np.mean(right)) if right else 1.0


def _f1(pairs: Sequence[tuple[Detections, Detections]]) -> float:
    """Give 2 TP / (2 TP + FP + FN) over all samples, each object matched once, best score first."""
    right = told = wanted = 0
    for got, truth in pairs:
        left = list(truth.items)
        told, wanted = told + len(got.items), wanted + len(left)
        for item in sorted(got.items, key=lambda one: -one.score):
            match = max((one for one in left if one.label == item.label), key=lambda one: iou(one, item), default=None)
            if match is not None and iou(match, item) >= SAME_PLACE:
                left.remove(match)
                right += 1
    return 2 * right / (told + wanted) if told + wanted else 1.0


_METRICS: dict[type[Output], tuple[str, Callable[[Any], float]]] = {
    Classes: ("top-1", _top1),
    Detections: ("F1@0.5", _f1),
}
