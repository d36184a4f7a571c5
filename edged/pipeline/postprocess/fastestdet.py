"""FastestDet: one grid, a column of numbers for each cell, then non-maximum suppression.

A cell's column is objectness, centre x and y, width and height, and a score for each class. The centre is ``(tanh(value) + cell) / cells``,
a side ``sigmoid(value)``, both as fractions of the model's picture; the score is ``objectness ** 0.6 * class ** 0.4``, as its authors
weigh them. Objectness and class scores are 0..1 already.
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

HEAD = 5
"""Objectness, centre and size come before the classes."""
OBJECTNESS_POWER, CLASS_POWER = 0.6, 0.4
WANTED = "one output of 1 x (5 + classes) x rows x columns"


def bind(binding: Binding) -> FastestDetDecoder:
    """Bind to the one output.

    Raises:
        BundleError: There is no such output, or the labels do not fit.
    """
    binding.only_keys("min_score", "nms_iou", "max_items")
    binding.image()
    shape = binding.outputs[0].shape if len(binding.outputs) == 1 else ()
    core = shape[1:] if len(shape) == len("1CHW") and shape[0] in {1, -1} else shape
    if len(core) != len("CHW") or core[0] <= HEAD or min(core) < 1:
        raise binding.refuse(describe(binding.outputs), WANTED)
    return FastestDetDecoder(binding, binding.names(core[0] - HEAD))


class FastestDetDecoder:
    """Looks at the score first, and decodes the boxes of what is sure enough."""

    def __init__(self, binding: Binding, names: tuple[str, ...]) -> None:
        self._image = binding.image()
        self._spec = binding.outputs[0]
        self._names = names
        self._settings = binding.output

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Detections:
        """Give what was found, best first."""
        del inputs
        require_finite(outputs[0], self._spec.name)
        grid = outputs[0].reshape(outputs[0].shape[-3:])
        columns = self._spec.real(grid.reshape(len(grid), -1))
        settings = self._settings
        best = columns[HEAD:].argmax(axis=0)
        objectness = np.maximum(columns[0], 0)
        class_score = np.maximum(columns[HEAD:].max(axis=0), 0)
        scores = objectness**OBJECTNESS_POWER * class_score**CLASS_POWER
        cells = (scores >= settings.min_score).nonzero()[0]
        boxes = self._corners(columns[1:HEAD, cells], cells, grid.shape[1:])
        scores, best = scores[cells], best[cells]
        kept = suppress(boxes, scores, best, iou=settings.nms_iou, limit=settings.max_items)
        return detections(boxes[kept], scores[kept], best[kept], self._names, self._image, frame)

    def _corners(self, raw: NDArray[np.float32], cells: NDArray[np.intp], grid: tuple[int, ...]) -> NDArray[np.float32]:
        """Turn raw (4, n) predictions into (n, 4) of x1, y1, x2, y2 in pixels of the model's picture."""
        rows, columns = grid
        at = np.stack((cells % columns, cells // columns)).astype(np.float32)
        picture = np.array([[self._image.width], [self._image.height]], np.float32)
        center = (np.tanh(raw[:2]) + at) / np.array([[columns], [rows]], np.float32) * picture
        half = ACTIVATIONS["sigmoid"](raw[2:]) * picture / 2
        return np.asarray(np.concatenate((center - half, center + half)).T, np.float32)
