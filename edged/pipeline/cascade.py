"""A second model on what the first found: crops of the frame, a bounded number of them, best first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edged.domain.frame import Frame
from edged.domain.result import Box, Detection, Detections, Further, Keypoints, Mask, Output

Answer = Callable[[Frame], Output]
MAX_CROPS = 8
"""A crowd must not stop the pipeline: beyond this many the least certain are left unlooked at, which their empty ``then`` shows."""
MIN_SIDE = 2
"""Pixels: what is smaller shows nothing."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """Looks at detections of ``label`` (None: of every one) from ``min_score`` on, with ``margin`` of the box's size on each side."""

    model: str
    answer: Answer
    label: str | None = None
    min_score: float = 0.0
    margin: float = 0.1
    at_most: int = MAX_CROPS

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Give ``output`` with what the model said of its detections; other answers pass as they are.

        Raises what the model raises.
        """
        if not isinstance(output, Detections):
            return output
        chosen = {id(item) for item in [item for item in output.items if self._wants(item)][: self.at_most]}
        return Detections(tuple(self._look(item, frame) if id(item) in chosen else item for item in output.items))

    def _wants(self, item: Detection) -> bool:
        return item.score >= self.min_score and self.label in {None, item.label}

    def _look(self, item: Detection, frame: Frame) -> Detection:
        height, width = frame.data.shape[:2]
        box = around(item.box, self.margin)
        left, top = int(box[0] * width), int(box[1] * height)
        right, bottom = int(np.ceil(box[2] * width)), int(np.ceil(box[3] * height))
        if right - left < MIN_SIDE or bottom - top < MIN_SIDE:
            return item
        said = self.answer(Frame(frame.data[top:bottom, left:right], frame.stamp))
        whole = (left / width, top / height, right / width, bottom / height)
        return replace(item, then=(*item.then, Further(self.model, placed(said, whole))))


def around(box: Box, margin: float) -> Box:
    """Give a box with ``margin`` of its width and height more on each side, within the frame."""
    x1, y1, x2, y2 = box
    dx, dy = (x2 - x1) * margin, (y2 - y1) * margin
    return max(0.0, x1 - dx), max(0.0, y1 - dy), min(1.0, x2 + dx), min(1.0, y2 + dy)


def placed(output: Output, crop: Box) -> Output:
    """Turn fractions of a crop into fractions of the frame that it was cut from."""
    if isinstance(output, Detections):
        return Detections(tuple(replace(item, box=_box(item.box, crop)) for item in output.items))
    if isinstance(output, Keypoints):
        points = [(item, _point(item.x, item.y, crop)) for item in output.items]
        return Keypoints(tuple(replace(item, x=x, y=y) for item, (x, y) in points))
    if isinstance(output, Mask):
        return replace(output, box=_box(output.box, crop))
    return output


def _box(box: Box, crop: Box) -> Box:
    return *_point(box[0], box[1], crop), *_point(box[2], box[3], crop)


def _point(x: float, y: float, crop: Box) -> tuple[float, float]:
    return crop[0] + x * (crop[2] - crop[0]), crop[1] + y * (crop[3] - crop[1])
