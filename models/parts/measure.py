"""From a network's tensors to detections, and how good those are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from models.parts.network import decoded
from models.parts.scene import UNCLEAR
from models.parts.shapes import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.parts.network import Size
    from models.parts.scene import Scene

    Tensors = Sequence[NDArray[np.float32]]

NMS_IOU = 0.45
ENOUGH = 0.5
"""The IoU from which a box is on a part, as the 50 in mAP50 says."""
_LOWEST_SCORE = 0.01
"""Average precision needs the doubtful ones too."""

_PAD = 114
"""The manifest's default."""

Truth = tuple["NDArray[np.float32]", "NDArray[np.int64]"]
"""Boxes (n, 4) in input pixels, labels (n,)."""

Found = tuple["NDArray[np.float32]", "NDArray[np.int64]", "NDArray[np.float32]"]
"""Boxes (n, 4) in input pixels, labels (n,), scores (n,); best first."""


def small(picture: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Letterbox as the manifest's ``[input]`` says: (h, w, 3) BGR to (height, width, 3) RGB, the picture in the middle."""
    shrink, left, top = letterbox(picture.shape, size)
    rows, columns = round(picture.shape[0] * shrink), round(picture.shape[1] * shrink)
    canvas = np.full((size.height, size.width, 3), _PAD, np.uint8)
    fitted = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_LINEAR)
    canvas[top : top + rows, left : left + columns] = cv2.cvtColor(fitted, cv2.COLOR_BGR2RGB)
    return canvas


def letterbox(shape: tuple[int, ...], size: Size) -> tuple[float, int, int]:
    """Give the factor for a picture (h, w, ...) and how far from the left and from the top it then lies."""
    shrink = min(size.width / shape[1], size.height / shape[0])
    return shrink, (size.width - round(shape[1] * shrink)) // 2, (size.height - round(shape[0] * shrink)) // 2


def prepared(picture: NDArray[np.uint8], size: Size) -> NDArray[np.float32]:
    """Do all that the manifest's ``[input]`` says: (h, w, 3) BGR to (1, height, width, 3) RGB -1..1."""
    return ((small(picture, size).astype(np.float32) - 127.5) / 127.5)[np.newaxis]


def truth_of(scene: Scene, size: Size) -> Truth:
    """Give what is to be found, in pixels of the network's input."""
    shrink, left, top = letterbox(scene.picture.shape, size)
    return scene.boxes * np.float32(shrink) + np.array([left, top, left, top], np.float32), scene.labels


def detections(tensors: Tensors, size: Size, min_score: float = _LOWEST_SCORE) -> Found:
    """Decode boxes, objectness and classes of one picture, in whatever order a file gives them."""
    by_size = {tensor.shape[-1]: tensor[0] for tensor in tensors}
    scores = by_size[1] * by_size[len(LABELS)]
    labels, best = scores.argmax(axis=1), scores.max(axis=1)
    boxes = decoded(torch.from_numpy(by_size[4]), size).numpy()
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


def average_precision(answers: Sequence[Found], truths: Sequence[Truth], label: int) -> float:
    """Average precision of one label at IoU 0.5, over all points of the curve as PASCAL VOC has it since 2010."""
    hits = [hit for found, truth in zip(answers, truths, strict=True) for hit in _hits(found, truth, label)]
    hits.sort(key=lambda hit: -hit[0])
    right = np.cumsum([hit[1] for hit in hits])
    precision = right / np.arange(1, len(hits) + 1)
    best_from_here_on = np.maximum.accumulate(precision[::-1])[::-1]
    total = sum(int((labels == label).sum()) for _, labels in truths)
    return float(best_from_here_on[[hit[1] for hit in hits]].sum() / total)


def _hits(found: Found, truth: Truth, label: int) -> list[tuple[float, bool]]:
    """Each detection's score and whether it is the first on a part that it covers by half or more.

    One on a part of which nobody could say whether it is faulty is left out, as "difficult" ones are in PASCAL VOC.
    """
    boxes, labels, scores = found
    wanted, unclear = truth[0][truth[1] == label], truth[0][truth[1] == UNCLEAR]
    taken: set[int] = set()
    hits = []
    for box, score in zip(boxes[labels == label], scores[labels == label], strict=True):
        overlaps = iou(box[np.newaxis], wanted)[0] if len(wanted) else np.zeros(1)
        best = int(overlaps.argmax())
        right = overlaps[best] >= ENOUGH and best not in taken
        taken |= {best} if right else set()
        if right or not (iou(box[np.newaxis], unclear) >= ENOUGH).any():
            hits.append((float(score), bool(right)))
    return hits
