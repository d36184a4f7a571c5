"""YOLOX: raw predictions on three grids, decoded here, then non-maximum suppression.

A prediction's centre is ``(offset + cell) * stride`` and its size ``exp(value) * stride``, in pixels of the model's
picture, cells running along rows, the grids of 8, 16 and 32 pixels one after the other (Ge et al., "YOLOX: Exceeding
YOLO Series in 2021").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edged.pipeline.postprocess.binding import Binding, describe, require_finite
from edged.pipeline.postprocess.classification import ACTIVATIONS
from edged.pipeline.postprocess.detections import detections
from edged.pipeline.postprocess.nms import suppress

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from edged.domain.bundle import ImageInput
    from edged.domain.frame import Frame
    from edged.domain.result import Detections
    from edged.domain.tensor import Array, TensorSpec

STRIDES = ((8, 16, 32), (8, 16, 32, 64), (8, 16), (8,))
"""The published networks' strides, those with a fourth grid for large pictures, and small networks for objects of one size. Their
numbers of cells differ for every size of picture, so that the output's length tells which of them it is."""
BOX = 4
HEAD = 5
"""Centre, size and objectness come before the classes."""
MAX_EXPONENT = 20.0
"""Beyond this a side is wider than any picture (e^20 strides); it keeps ``exp`` from overflowing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A slice of an output: which tensor, and which of its columns."""

    output: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Where boxes, objectness and class scores stand; ``transposed`` tensors hold a column for each prediction."""

    boxes: Part
    objectness: Part
    classes: Part
    transposed: bool = False


def bind(binding: Binding) -> YoloxDecoder:
    """Bind to one tensor of 1 x N x (5 + classes), in either order, or to boxes, objectness and classes in three.

    Raises:
        BundleError: The outputs are not those of YOLOX on this size of picture, or the labels do not fit.
    """
    binding.only_keys("min_score", "nms_iou", "max_items", "activation")
    image = binding.image()
    grids = {len(grid): grid for grid in (_grid(image, strides) for strides in reversed(STRIDES))}
    single = len(binding.outputs) == 1
    parts, count, classes = _one_tensor(binding, grids) if single else _three_tensors(binding, grids)
    return YoloxDecoder(binding, parts, grids[count], binding.names(classes))


def _grid(image: ImageInput, strides: Sequence[int]) -> NDArray[np.float32]:
    """List the cells of every grid: (N, 3) of x, y (in cells) and stride (in pixels)."""
    rows = []
    for stride in strides:
        y, x = np.mgrid[0 : image.height // stride, 0 : image.width // stride]
        rows.append(np.stack((x.ravel(), y.ravel(), np.full(x.size, stride)), axis=1))
    return np.concatenate(rows).astype(np.float32)


def _one_tensor(binding: Binding, counts: Collection[int]) -> tuple[Parts, int, int]:
    shape = binding.outputs[0].shape
    core = shape[1:] if len(shape) == len("1NC") and shape[0] in {1, -1} else shape
    if len(core) == len("NC"):
        for count, columns, transposed in ((core[0], core[1], False), (core[1], core[0], True)):
            if count in counts and columns > HEAD:
                parts = Parts(Part(0, 0, BOX), Part(0, BOX, HEAD), Part(0, HEAD, columns), transposed)
                return parts, count, columns - HEAD
    raise _no_yolox(binding, counts)


def _three_tensors(binding: Binding, counts: Collection[int]) -> tuple[Parts, int, int]:
    """Tell the tensors apart by their last axis, and by name where one class or four make that ambiguous."""
    sizes = {_role(spec, binding): (index, spec.shape) for index, spec in enumerate(binding.outputs)}
    if set(sizes) != {"boxes", "objectness", "classes"} or len(binding.outputs) != len(sizes):
        raise _no_yolox(binding, counts)
    lengths = {shape[-2] for _, shape in sizes.values()}
    count = lengths.pop()
    if lengths or count not in counts:
        raise _no_yolox(binding, counts)
    part = {role: Part(index, 0, shape[-1]) for role, (index, shape) in sizes.items()}
    return Parts(part["boxes"], part["objectness"], part["classes"]), count, part["classes"].stop


def _role(spec: TensorSpec, binding: Binding) -> str:
    if len(spec.shape) < len("NC"):
        return ""
    name, columns = spec.name.lower(), spec.shape[-1]
    widths = [other.shape[-1] for other in binding.outputs if other.shape]
    for role, words, width in (
        ("objectness", ("obj",), 1),
        ("boxes", ("box", "reg"), BOX),
        ("classes", ("cls", "class"), 0),
    ):
        by_name = any(word in name for word in words) and width in {0, columns}
        if by_name or (columns == width and widths.count(width) == 1):
            return role
    return "classes" if columns not in {1, BOX} else ""


def _no_yolox(binding: Binding, counts: Collection[int]) -> Exception:
    lengths = " or ".join(str(count) for count in sorted(counts))
    wanted = f"1 x N x (5 + classes) with N = {lengths} for this size of picture"
    return binding.refuse(describe(binding.outputs), wanted)


class YoloxDecoder:
    """Looks at objectness first: a class score is at most 1, so what is below ``min_score`` there stays below."""

    def __init__(self, binding: Binding, parts: Parts, grid: NDArray[np.float32], names: tuple[str, ...]) -> None:
        self._image = binding.image()
        self._specs = binding.outputs
        self._parts = parts
        self._grid = grid
        self._names = names
        self._settings = binding.output
        self._activate = ACTIVATIONS.get(binding.output.activation)

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Detections:
        """Give what was found, best first."""
        del inputs
        for spec, values in zip(self._specs, outputs, strict=True):
            require_finite(values, spec.name)
        parts, settings = self._parts, self._settings
        objectness = self._scores(outputs, parts.objectness, None)[:, 0]
        rows = (objectness >= settings.min_score).nonzero()[0]
        classes = self._scores(outputs, parts.classes, rows)
        best = classes.argmax(axis=1)
        scores = objectness[rows] * classes[np.arange(rows.size), best]
        sure = scores >= settings.min_score
        rows, best, scores = rows[sure], best[sure], scores[sure]
        boxes = _corners(self._real(outputs, parts.boxes, rows), self._grid[rows])
        kept = suppress(boxes, scores, best, iou=settings.nms_iou, limit=settings.max_items)
        return detections(boxes[kept], scores[kept], best[kept], self._names, self._image, frame)

    def _real(self, outputs: Sequence[Array], part: Part, rows: NDArray[np.intp] | None) -> NDArray[np.float32]:
        """Give (rows, columns) of real values: only what is looked at is dequantised."""
        tensor = outputs[part.output]
        table = tensor.reshape(tensor.shape[-2:])
        if self._parts.transposed:
            table = table.T
        chosen = table[:, part.start : part.stop] if rows is None else table[rows, part.start : part.stop]
        return self._specs[part.output].real(chosen)

    def _scores(self, outputs: Sequence[Array], part: Part, rows: NDArray[np.intp] | None) -> NDArray[np.float32]:
        values = self._real(outputs, part, rows)
        return values if self._activate is None else self._activate(values)


def _corners(raw: NDArray[np.float32], cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn raw (n, 4) predictions in their cells, (n, 3), into x1, y1, x2, y2 in pixels of the model's picture."""
    stride = cells[:, 2:]
    center = (raw[:, :2] + cells[:, :2]) * stride
    half = np.exp(np.minimum(raw[:, 2:], MAX_EXPONENT)) * stride / 2
    return np.concatenate((center - half, center + half), axis=1)
