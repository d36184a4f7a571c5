"""Scores and boxes in two tensors, the boxes decoded inside the file: small face detectors and their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.pipeline.postprocess.binding import Binding, describe, require_finite
from edged.pipeline.postprocess.detections import detections
from edged.pipeline.postprocess.nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.frame import Frame
    from edged.domain.result import Detections
    from edged.domain.tensor import Array, TensorSpec

SIDES = 4
WANTED = "scores 1 x N x classes and boxes 1 x N x 4 (x1, y1, x2, y2)"


def bind(binding: Binding) -> BoxesDecoder:
    """Bind to the two outputs, whatever their order.

    A column of scores more than there are labels is the background, and comes first, as SSD trains it; without labels the first of
    several columns is taken for it.

    Raises:
        BundleError: The outputs are not scores and boxes, or the labels do not fit.
    """
    binding.only_keys("min_score", "nms_iou", "max_items", "boxes")
    boxes, scores = _places(binding)
    columns = binding.outputs[scores].shape[-1]
    background = columns > 1 and (not binding.labels or columns == len(binding.labels) + 1)
    return BoxesDecoder(binding, boxes, scores, binding.names(columns - background), first=int(background))


def _places(binding: Binding) -> tuple[int, int]:
    """Tell which output holds the boxes and which the scores: by columns, and by name where there are four classes."""
    specs = binding.outputs
    if len(specs) != len(("scores", "boxes")) or any(len(spec.shape) < len("NC") for spec in specs):
        raise binding.refuse(describe(specs), WANTED)
    named = [index for index, spec in enumerate(specs) if any(word in spec.name.lower() for word in ("box", "loc"))]
    fitting = [index for index, spec in enumerate(specs) if spec.shape[-1] == SIDES]
    boxes = fitting if len(fitting) == 1 else [index for index in named if index in fitting]
    if len(boxes) != 1 or specs[0].shape[-2] != specs[1].shape[-2]:
        raise binding.refuse(describe(specs), WANTED)
    return boxes[0], 1 - boxes[0]


class BoxesDecoder:
    """Each box is what its best class says; overlapping ones of a class are one."""

    def __init__(self, binding: Binding, boxes: int, scores: int, names: tuple[str, ...], *, first: int) -> None:
        image = binding.image()
        self._image = image
        self._boxes, self._scores = boxes, scores
        self._specs: tuple[TensorSpec, ...] = binding.outputs
        self._names = names
        self._first = first
        self._settings = binding.output
        unit = (1, 1) if binding.output.boxes == "pixels" else (image.width, image.height)
        self._unit = np.array(unit * 2, np.float32)

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Detections:
        """Give what was found, best first."""
        del inputs
        for spec, values in zip(self._specs, outputs, strict=True):
            require_finite(values, spec.name)
        settings = self._settings
        table = outputs[self._scores]
        scores = self._specs[self._scores].real(table.reshape(-1, table.shape[-1])[:, self._first :])
        best = scores.argmax(axis=1)
        top = scores[np.arange(best.size), best]
        rows = (top >= settings.min_score).nonzero()[0]
        corners = outputs[self._boxes].reshape(-1, SIDES)[rows]
        boxes = self._specs[self._boxes].real(corners) * self._unit
        kept = suppress(boxes, top[rows], best[rows], iou=settings.nms_iou, limit=settings.max_items)
        return detections(boxes[kept], top[rows][kept], best[rows][kept], self._names, self._image, frame)
