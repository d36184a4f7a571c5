"""Whether two answers to the same input agree as far as a bundle's golden samples ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edged.domain.result import Anomaly, Classes, Detection, Detections, Keypoints, Mask, Output, Values, by_kind
from edged.pipeline.postprocess import runs
from edged.pipeline.postprocess.nms import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edged.domain.bundle import Golden

SMALL = 1e-9
"""Keeps a relative difference of scores defined where both are nothing."""
TOLD_SHARE = 0.01
"""A class on less of a mask than this is not compared: single pixels at its edge would decide."""


def agrees(expected: Output, got: Output, golden: Golden) -> str | None:
    """Give None when ``got`` agrees with ``expected``, otherwise the first reason why it does not.

    Detections are matched one to one by label and overlap; of classes the best counts, by label and score; an anomaly's
    score may differ by ``score_tolerance`` of the expected one. Keypoints may lie ``max_distance`` apart. A value may differ by
    ``score_tolerance`` of the expected one, or by ``score_tolerance`` itself where that one is below 1. Of a mask each class of at least a
    hundredth of it has to overlap by ``min_iou``.
    """
    if type(expected) is not type(got):
        return f"the answer is {type(got).__name__}, expected {type(expected).__name__}"
    return _COMPARISONS[type(expected)](expected, got, golden)


def _detections(expected: Detections, got: Detections, golden: Golden) -> str | None:
    left = list(got.items)
    for wanted in expected.items:
        match = max(
            (item for item in left if item.label == wanted.label), key=lambda item: iou(item, wanted), default=None
        )
        if match is None:
            return f"no {wanted.label} at {_box(wanted)} was found, expected one of score {wanted.score:.3f}"
        if iou(match, wanted) < golden.min_iou:
            return (
                f"the {wanted.label} lies at {_box(match)}, expected {_box(wanted)} with an overlap of {golden.min_iou}"
            )
        if abs(match.score - wanted.score) > golden.score_tolerance:
            return f"the {wanted.label} at {_box(wanted)} scores {match.score:.3f}, expected {wanted.score:.3f}"
        left.remove(match)
    surplus = [item for item in left if item.score > _faintest(expected) + golden.score_tolerance]
    if surplus:
        return f"a {surplus[0].label} of score {surplus[0].score:.3f} was found at {_box(surplus[0])}, expected none"
    return None


def _faintest(expected: Detections) -> float:
    """Give the lowest expected score: what is hardly surer may come and go at the bundle's own minimum."""
    return min((item.score for item in expected.items), default=0.0)


def _classes(expected: Classes, got: Classes, golden: Golden) -> str | None:
    if not expected.items:
        return f"the answer is {got.items[0].label}, expected no class" if got.items else None
    wanted = expected.items[0]
    if not got.items:
        return f"no class was found, expected {wanted.label}"
    best = got.items[0]
    if best.label != wanted.label:
        return f"the answer is {best.label} ({best.score:.3f}), expected {wanted.label} ({wanted.score:.3f})"
    if abs(best.score - wanted.score) > golden.score_tolerance:
        return f"{best.label} scores {best.score:.3f}, expected {wanted.score:.3f}"
    return None


def _anomaly(expected: Anomaly, got: Anomaly, golden: Golden) -> str | None:
    if expected.is_anomaly != got.is_anomaly:
        word = "an" if got.is_anomaly else "no"
        wanted = f"expected {expected.score:.6g} (threshold {expected.threshold:.6g})"
        return f"score {got.score:.6g} is {word} anomaly, {wanted}"
    if abs(got.score - expected.score) > golden.score_tolerance * max(abs(expected.score), SMALL):
        return f"the score is {got.score:.6g}, expected {expected.score:.6g}"
    return None


def _keypoints(expected: Keypoints, got: Keypoints, golden: Golden) -> str | None:
    found = {item.label: item for item in got.items}
    for wanted in expected.items:
        match = found.pop(wanted.label, None)
        if match is None:
            return f"no {wanted.label} was found, expected one of score {wanted.score:.3f}"
        distance = max(abs(match.x - wanted.x), abs(match.y - wanted.y))
        if distance > golden.max_distance:
            return (
                f"the {wanted.label} lies at {match.x:.3f}, {match.y:.3f}, expected {wanted.x:.3f}, {wanted.y:.3f} "
                f"within {golden.max_distance}"
            )
        if abs(match.score - wanted.score) > golden.score_tolerance:
            return f"the {wanted.label} scores {match.score:.3f}, expected {wanted.score:.3f}"
    faintest = min((item.score for item in expected.items), default=0.0)
    surplus = [item for item in found.values() if item.score > faintest + golden.score_tolerance]
    return f"a {surplus[0].label} of score {surplus[0].score:.3f} was found, expected none" if surplus else None


def _values(expected: Values, got: Values, golden: Golden) -> str | None:
    labels = [[item.label for item in output.items] for output in (expected, got)]
    if labels[0] != labels[1]:
        return f"the values are {', '.join(labels[1])}, expected {', '.join(labels[0])}"
    for wanted, value in zip(expected.items, got.items, strict=True):
        if abs(value.value - wanted.value) > golden.score_tolerance * max(1.0, abs(wanted.value)):
            return f"{value.label} is {value.value:.6g}, expected {wanted.value:.6g}"
    return None


def _mask(expected: Mask, got: Mask, golden: Golden) -> str | None:
    if (expected.width, expected.height) != (got.width, got.height):
        return f"the mask has {got.width} by {got.height} pixels, expected {expected.width} by {expected.height}"
    labels = [item.label for item in (*expected.items, *got.items) if item.share >= TOLD_SHARE]
    for label in dict.fromkeys(labels):
        wanted, found = pixels(expected, label), pixels(got, label)
        share = float((wanted & found).sum() / (wanted | found).sum())
        if share < golden.min_iou:
            return f"the {label} overlaps by {share:.3f}, expected {golden.min_iou}"
    return None


def pixels(mask: Mask, label: str) -> NDArray[np.bool_]:
    """Give where a class lies on a mask: (height, width) bool."""
    found = next((item.runs for item in mask.items if item.label == label), ())
    return runs.decode(found, mask.width, mask.height)


def iou(one: Detection, other: Detection) -> float:
    """Give the overlap of two detections' boxes as a share of their union, 0..1."""
    return float(overlap(np.asarray(one.box, np.float32), np.asarray([other.box], np.float32))[0])


def _box(item: Detection) -> str:
    return "[" + ", ".join(f"{side:.3f}" for side in item.box) + "]"


_COMPARISONS: Mapping[type[Output], Callable[[Any, Any, Golden], str | None]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_anomaly, keypoints=_keypoints, values=_values, mask=_mask
)
