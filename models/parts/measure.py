"""From a network's tensors to detections, and how good those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from models.parts.network import INPUT_HEIGHT, INPUT_WIDTH, decoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Tensors = Sequence[NDArray[np.float32]]

NMS_IOU = 0.45
_LOWEST_SCORE = 0.01
"""Average precision needs the doubtful ones too."""

Found = tuple["NDArray[np.float32]", "NDArray[np.int64]", "NDArray[np.float32]"]
"""Boxes (n, 4) in input pixels, labels (n,), scores (n,); best first."""


def prepared(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Do what the manifest's ``[input]`` says to a 16:9 picture: (h, w, 3) BGR to (1, 144, 256, 3) RGB -1..1."""
    small = cv2.resize(picture, (INPUT_WIDTH, INPUT_HEIGHT), interpolation=cv2.INTER_LINEAR)
    return ((cv2.cvtColor(small, cv2.COLOR_BGR2RGB).astype(np.float32) - 127.5) / 127.5)[np.newaxis]


def detections(tensors: Tensors, min_score: float = _LOWEST_SCORE) -> Found:
    """Decode boxes, objectness and classes of one picture, in whatever order a file gives them."""
    by_size = {tensor.shape[-1]: tensor[0] for tensor in tensors}
    scores = by_size[1] * by_size[3]
    labels, best = scores.argmax(axis=1), scores.max(axis=1)
    boxes = decoded(torch.from_numpy(by_size[4])).numpy()
    chosen = [row for row in np.argsort(-best, kind="stable") if best[row] >= min_score]
    kept: list[int] = []
    for row in chosen:
        rivals = [other for other in kept if labels[other] == labels[row]]
        if not rivals or iou(boxes[[row]], boxes[rivals]).max() <= NMS_IOU:
            kept.append(int(row))
    return boxes[kept], labels[kept], best[kept]


def iou(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of every pair, (n, m)."""
    low = np.maximum(boxes[:, np.newaxis, :2], others[np.newaxis, :, :2])
    high = np.minimum(boxes[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(one[:, 2:] - one[:, :2]).prod(axis=1) for one in (boxes, others)]
    return shared / (areas[0][:, np.newaxis] + areas[1][np.newaxis] - shared)


def average_precision(
    answers: Sequence[Found], truths: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]], label: int
) -> float:
    """Average precision of one label at IoU 0.5, over all points of the curve as PASCAL VOC has it since 2010."""
    hits = [hit for found, truth in zip(answers, truths, strict=True) for hit in _hits(found, truth, label)]
    hits.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit[1] for hit in hits])
    precision = right / np.arange(1, len(hits) + 1)
    best_from_here_on = np.maximum.accumulate(precision[::-1])[::-1]
    total = sum(int((labels == label).sum()) for _, labels in truths)
    return float(best_from_here_on[[hit[1] for hit in hits]].sum() / total)


def _hits(found: Found, truth: tuple[NDArray[np.float32], NDArray[np.int64]], label: int) -> list[tuple[float, bool]]:
    """Each detection's score and whether it is the first on a part that it covers by half or more."""
    boxes, labels, scores = found
    wanted = truth[0][truth[1] == label]
    taken: set[int] = set()
    hits = []
    for box, score in zip(boxes[labels == label], scores[labels == label], strict=True):
        overlaps = iou(box[np.newaxis], wanted)[0] if len(wanted) else np.zeros(1)
        best = int(overlaps.argmax())
        right = overlaps[best] >= 0.5 and best not in taken  # noqa: PLR2004 - mAP50
        taken |= {best} if right else set()
        hits.append((float(score), bool(right)))
    return hits
