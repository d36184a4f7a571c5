"""YOLOv5 and YOLOv8 and what has their heads: boxes decoded inside the file, then non-maximum suppression here.

A YOLOv5 row is centre x, centre y, width, height, objectness and a score for each class (1 x N x (5 + classes)); a YOLOv8 column is
centre x, centre y, width, height and a score for each class (1 x (4 + classes) x N). Scores are 0..1 already. Boxes are in pixels of the
model's picture in ONNX files, and fractions of it in most TFLite files: ``boxes`` in ``[output]`` says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.pipeline.postprocess.binding import Binding, describe, require_finite
from edged.pipeline.postprocess.classification import ACTIVATIONS
from edged.pipeline.postprocess.detections import detections
from edged.pipeline.postprocess.nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edged.domain.frame import Frame
    from edged.domain.result import Detections
    from edged.domain.tensor import Array

BOX = 4
V5_HEAD, V8_HEAD = 5, 4
"""Numbers before the class scores: with and without objectness."""


def bind_v5(binding: Binding) -> YoloDecoder:
    """Bind to one tensor of 1 x N x (5 + classes), in either order.

    Raises:
        BundleError: The output is no such tensor, or the labels do not fit.
    """
    return _bind(binding, V5_HEAD)


def bind_v8(binding: Binding) -> YoloDecoder:
    """Bind to one tensor of 1 x (4 + classes) x N, in either order.

    Raises:
        BundleError: The output is no such tensor, or the labels do not fit.
    """
    return _bind(binding, V8_HEAD)


def _bind(binding: Binding, head: int) -> YoloDecoder:
    binding.only_keys("min_score", "nms_iou", "max_items", "activation", "boxes")
    binding.image()
    shape = binding.outputs[0].shape if len(binding.outputs) == 1 else ()
    core = shape[1:] if len(shape) == len("1NC") and shape[0] in {1, -1} else shape
    # Labels tell which axis holds the classes; without them, predictions are more than classes.
    wanted = head + len(binding.labels) if binding.labels else min(core, default=0)
    if len(core) != len("NC") or wanted not in core or wanted <= head:
        classes = len(binding.labels) or "classes"
        raise binding.refuse(describe(binding.outputs), f"one output of 1 x N x ({head} + {classes}), in either order")
    columns_first = core[0] == wanted and not (core[1] == wanted and head == V5_HEAD)
    return YoloDecoder(binding, head, binding.names(wanted - head), columns_first=columns_first)


class YoloDecoder:
    """Only what is sure enough is dequantised as a box."""

    def __init__(self, binding: Binding, head: int, names: tuple[str, ...], *, columns_first: bool) -> None:
        image = binding.image()
        self._image = image
        self._spec = binding.outputs[0]
        self._head = head
        self._names = names
        self._columns_first = columns_first
        self._settings = binding.output
        self._activate = ACTIVATIONS.get(binding.output.activation)
        unit = (image.width, image.height) if binding.output.boxes == "fractions" else (1, 1)
        self._unit = np.array(unit * 2, np.float32)

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Detections:
        """Give what was found, best first."""
        del inputs
        require_finite(outputs[0], self._spec.name)
        table = outputs[0].reshape(outputs[0].shape[-2:])
        columns = table if self._columns_first else table.T
        settings = self._settings
        rows, best, scores = self._scored(columns)
        sure = scores >= settings.min_score
        rows, best, scores = rows[sure], best[sure], scores[sure]
        boxes = _corners(self._spec.real(columns[:BOX, rows]).T * self._unit)
        kept = suppress(boxes, scores, best, iou=settings.nms_iou, limit=settings.max_items)
        return detections(boxes[kept], scores[kept], best[kept], self._names, self._image, frame)

    def _scored(self, columns: Array) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
        """Give the predictions worth a look: their places, best classes and scores."""
        if self._head == V8_HEAD:
            # The highest stored number is the highest score, so that one row of them is dequantised, not one for each class.
            highest = columns[self._head :].max(axis=0)
            rows = (self._real(highest) >= self._settings.min_score).nonzero()[0]
            return rows, columns[self._head :, rows].argmax(axis=0), self._real(highest[rows])
        objectness = self._real(columns[BOX])
        # A class score is at most 1: what is below the minimum there stays below.
        rows = (objectness >= self._settings.min_score).nonzero()[0]
        classes = self._real(columns[self._head :, rows])
        best = classes.argmax(axis=0)
        return rows, best, objectness[rows] * classes[best, np.arange(rows.size)]

    def _real(self, values: Array) -> NDArray[np.float32]:
        real = self._spec.real(values)
        return real if self._activate is None else self._activate(real)


def _corners(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (n, 4) of centre and size into x1, y1, x2, y2."""
    half = boxes[:, 2:] / 2
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
