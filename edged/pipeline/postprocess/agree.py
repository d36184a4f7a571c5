"""Whether two answers to the same input agree as far as a bundle's golden samples ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.domain.result import Anomaly, Classes, Detection, Detections, Output
from edged.pipeline.postprocess.nms import overlap

if TYPE_CHECKING:
    from edged.domain.bundle import Golden

SMALL = 1e-9
"""Keeps a relative difference of scores defined where both are nothing."""


def agrees(expected: Output, got: Output, golden: Golden) -> str | None:
    """Give None when ``got`` agrees with ``expected``, otherwise the first reason why it does not.

    Detections are matched one to one by label and overlap; of classes the best counts, by label and score; an anomaly's
    score may differ by ``score_tolerance`` of the expected one.
    """
    if isinstance(expected, Detections) and isinstance(got, Detections):
        return _detections(expected, got, golden)
    if isinstance(expected, Classes) and isinstance(got, Classes):
        return _classes(expected, got, golden)
    if isinstance(expected, Anomaly) and isinstance(got, Anomaly):
        return _anomaly(expected, got, golden)
    return f"the answer is {type(got).__name__}, expected {type(expected).__name__}"


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


def iou(one: Detection, other: Detection) -> float:
    """Give the overlap of two detections' boxes as a share of their union, 0..1."""
    return float(overlap(np.asarray(one.box, np.float32), np.asarray([other.box], np.float32))[0])


def _box(item: Detection) -> str:
    return "[" + ", ".join(f"{side:.3f}" for side in item.box) + "]"
