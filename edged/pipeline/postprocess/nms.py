"""Greedy non-maximum suppression: of boxes that overlap, the surest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CANDIDATES = 1000
"""More boxes than these are not compared: the work grows with their square, and a broken model can give thousands."""


def suppress(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.intp],
    *,
    iou: float,
    limit: int,
) -> NDArray[np.intp]:
    """Choose the boxes to keep, within each class.

    Args:
        boxes: (n, 4) of x1, y1, x2, y2 in one unit.
        scores: (n,).
        classes: (n,) of class numbers: boxes of different classes never suppress each other.
        iou: A box that overlaps a kept one by more than this share of their union goes.
        limit: At most this many are kept.

    Returns:
        Places of the kept boxes, best first.
    """
    order = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    kept: list[int] = []
    while order.size and len(kept) < limit:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        rival = (classes[rest] == classes[best]) & (overlap(boxes[best], boxes[rest]) > iou)
        order = rest[~rival]
    return np.asarray(kept, np.intp)


def overlap(box: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the intersection over union of a box, (4,), with others, (n, 4): (n,) of 0..1, 0 where both are empty."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))
